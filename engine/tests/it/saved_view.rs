//! Views: who sees them, and who changes them.

use domain::{Actor, ActorKind, Role, SaveView, SavedViewId, TaskFilter, TaskStateName, UserId, WorkspaceId};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::refused;

fn somebody(workspace: WorkspaceId, number: u128, role: Role) -> Actor {
    Actor::new(workspace, ActorKind::User { id: UserId(uuid::Uuid::from_u128(number)), role })
}

fn broken(name: &str, shared: bool) -> SaveView {
    SaveView { name: name.into(), filter: TaskFilter { state: Some(TaskStateName::Failed), ..TaskFilter::default() }, shared }
}

async fn seen(test: &TestEngine, actor: &Actor) -> Vec<String> {
    test.engine.list_views(actor).await.unwrap().into_iter().map(|view| view.name).collect()
}

fn is_not_there<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { noun: "view", .. }))
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_private_view_is_its_makers_and_a_shared_one_everybodys(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let bob = somebody(ada.workspace_id, 2, Role::Member);
    let mine = test.engine.create_view(&bob, broken("  Mine ", false)).await.unwrap();
    let ours = test.engine.create_view(&bob, broken("Ours", true)).await.unwrap();
    test.engine.create_view(&ada, broken("Zoo", false)).await.unwrap();
    assert_eq!((mine.name.as_str(), mine.own, mine.changeable), ("Mine", true, true));
    assert_eq!(mine.filter.state, Some(TaskStateName::Failed));
    assert_eq!(seen(&test, &bob).await, ["Mine", "Ours"]);
    assert_eq!(seen(&test, &ada).await, ["Zoo", "Ours"], "one's own come first, and not even an owner sees what is private");

    // what one does not see is not there
    assert!(is_not_there(test.engine.update_view(&ada, mine.id, broken("Taken over", true)).await));
    assert!(is_not_there(test.engine.delete_view(&ada, mine.id).await));
    // the maker takes it back from the others
    test.engine.update_view(&bob, ours.id, broken("Ours", false)).await.unwrap();
    assert_eq!(seen(&test, &ada).await, ["Zoo"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_view_of_another_workspace_is_like_one_that_does_not_exist(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    let shared = test.engine.create_view(&ada, broken("Ours", true)).await.unwrap();
    assert_eq!(seen(&test, &eve).await, Vec::<String>::new());
    for id in [shared.id, SavedViewId(uuid::Uuid::from_u128(1))] {
        assert!(is_not_there(test.engine.update_view(&eve, id, broken("Theirs", true)).await));
        assert!(is_not_there(test.engine.delete_view(&eve, id).await));
    }
    test.engine.create_view(&eve, broken("Ours", true)).await.unwrap();
    assert_eq!(test.engine.list_views(&ada).await.unwrap(), [shared], "a name is taken in its own workspace alone");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_view_is_changed_by_its_maker_or_an_admin(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let workspace = test.owner().await.workspace_id;
    let [admin, maker, member, viewer] =
        [(1, Role::Admin), (2, Role::Member), (3, Role::Member), (4, Role::Viewer)].map(|(number, role)| somebody(workspace, number, role));
    let view = test.engine.create_view(&maker, broken("Ours", true)).await.unwrap();
    let changeable = async |actor: &Actor| test.engine.list_views(actor).await.unwrap()[0].changeable;
    assert!(changeable(&maker).await && changeable(&admin).await && !changeable(&member).await && !changeable(&viewer).await);
    assert!(matches!(test.engine.update_view(&member, view.id, broken("Mine", true)).await, Err(Error::Forbidden(_))));
    assert!(matches!(test.engine.delete_view(&member, view.id).await, Err(Error::Forbidden(_))));
    assert_eq!(test.engine.update_view(&admin, view.id, broken("All of ours", true)).await.unwrap().name, "All of ours");
    assert_eq!(refused(test.engine.update_view(&admin, view.id, broken("Gone", false)).await), ["/shared not_own"]);
    test.engine.delete_view(&admin, view.id).await.unwrap();
    assert_eq!(seen(&test, &maker).await, Vec::<String>::new());

    // who only reads keeps views to themselves
    test.engine.create_view(&viewer, broken("Mine", false)).await.unwrap();
    assert!(matches!(test.engine.create_view(&viewer, broken("Everybody's", true)).await, Err(Error::Forbidden(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_name_stands_once_before_whoever_sees_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let bob = somebody(ada.workspace_id, 2, Role::Member);
    let (ours, mine) = (broken("Ours", true), broken("Mine", false));
    test.engine.create_view(&ada, ours.clone()).await.unwrap();
    test.engine.create_view(&ada, mine.clone()).await.unwrap();
    assert_eq!(refused(test.engine.create_view(&ada, broken("MINE", true)).await), ["/name taken"], "whatever the case");
    assert_eq!(refused(test.engine.create_view(&bob, ours).await), ["/name taken"], "two shared ones would be mistaken for each other");
    let his = test.engine.create_view(&bob, mine).await.unwrap();
    assert_eq!(refused(test.engine.update_view(&bob, his.id, broken("Ours", true)).await), ["/name taken"]);
    assert_eq!(refused(test.engine.create_view(&bob, broken("", false)).await), ["/name required"]);
}
