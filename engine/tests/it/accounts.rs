use chrono::TimeDelta;
use domain::{ActorKind, Role, account::NewOwner};
use engine::{
    Error,
    testing::{PASSWORD, TestEngine},
};
use sqlx::PgPool;

use crate::scenario::refused;

fn owner(email: &str) -> NewOwner {
    NewOwner { name: "Grace".into(), email: email.into(), password: PASSWORD.into() }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_set_up_link_works_once_and_only_while_there_is_no_owner(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    assert!(test.engine.needs_owner().await.unwrap());
    let replaced = test.engine.setup_token().await.unwrap().unwrap();
    let token = test.engine.setup_token().await.unwrap().unwrap();
    for wrong in ["", "guess", replaced.as_str()] {
        assert!(matches!(test.engine.create_owner(wrong, owner("grace@example.org")).await, Err(Error::Unauthorized(_))));
    }
    let weak = NewOwner { password: "short".into(), ..owner("grace") };
    assert_eq!(refused(test.engine.create_owner(&token, weak).await), ["/email malformed", "/password too_short"]);
    test.engine.create_owner(&token, owner("grace@example.org")).await.unwrap();
    assert!(matches!(test.engine.create_owner(&token, owner("eve@example.org")).await, Err(Error::Conflict(_))));
    assert!(matches!(test.engine.create_owner_here(owner("eve@example.org")).await, Err(Error::Conflict(_))));
    assert_eq!(test.engine.setup_token().await.unwrap(), None);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_set_up_link_runs_out(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let token = test.engine.setup_token().await.unwrap().unwrap();
    test.advance(TimeDelta::hours(25));
    assert!(matches!(test.engine.create_owner(&token, owner("grace@example.org")).await, Err(Error::Unauthorized(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_who_want_to_be_the_first_owner(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (one, two) =
        tokio::join!(test.engine.create_owner_here(owner("a@example.org")), test.engine.create_owner_here(owner("b@example.org")));
    assert_eq!([one.is_ok(), two.is_ok()].into_iter().filter(|ok| *ok).count(), 1);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn signing_in_says_no_more_than_it_has_to(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let user = test.engine.sign_in("  ADA@example.org ", PASSWORD).await.unwrap();
    assert_eq!(ada.kind, ActorKind::User { id: user, role: Role::Owner });
    let huge = "x".repeat(10_000_000);
    for (email, password) in [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("", ""), ("ada@example.org", huge.as_str())]
    {
        let error = test.engine.sign_in(email, password).await.unwrap_err();
        assert_eq!(error.to_string(), "the e-mail address or the password is wrong");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_flood_of_sign_ins_is_bounded(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    test.owner().await;
    let attempts = (0..60).map(|_| test.engine.sign_in("ada@example.org", "not the password"));
    let results = futures::future::join_all(attempts).await;
    let busy = results.iter().filter(|result| matches!(result, Err(Error::Busy))).count();
    let refused = results.iter().filter(|result| matches!(result, Err(Error::Unauthorized(_)))).count();
    assert!(busy >= 60 - 18 && busy + refused == 60, "{busy} busy, {refused} refused");
    assert!(test.engine.sign_in("ada@example.org", PASSWORD).await.is_ok(), "and the owner is not locked out");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_key_opens_its_workspace_until_it_runs_out_or_is_revoked(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let key = test.engine.create_key_here("ci", Role::Viewer).await.unwrap();
    let actor = test.engine.actor_of_key(key.reveal()).await.unwrap().expect("the key is good");
    assert_eq!(actor.workspace_id, ada.workspace_id);
    assert!(matches!(test.engine.create_task(&actor, crate::scenario::checked("x")).await, Err(Error::Forbidden(_))));
    assert_eq!(test.engine.identity(&actor).await.unwrap().role, Role::Viewer);

    let other = test.engine.create_key_here("other", Role::Member).await.unwrap();
    let transplanted = format!("{}{}", &key.reveal()[..17], &other.reveal()[17..]);
    for bad in ["", "mst_key_", transplanted.as_str()] {
        assert_eq!(test.engine.actor_of_key(bad).await.unwrap(), None);
    }
    sqlx::query("update api_key set revoked_at = now() where name = 'other'").execute(&pool).await.unwrap();
    assert_eq!(test.engine.actor_of_key(other.reveal()).await.unwrap(), None);
    test.advance(TimeDelta::days(90));
    assert_eq!(test.engine.actor_of_key(key.reveal()).await.unwrap(), None);
    let stored: String = sqlx::query_scalar("select string_agg(to_jsonb(api_key)::text, '') from api_key").fetch_one(&pool).await.unwrap();
    assert!(!stored.contains(&key.reveal()[17..]), "the secret itself is nowhere");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn keys_that_come_at_once_are_told_apart(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let roles = [Role::Viewer, Role::Member, Role::Admin];
    let mut keys = vec![];
    for role in roles {
        keys.push(test.engine.create_key_here(role.name(), role).await.unwrap().reveal().to_owned());
    }
    // the name of one with the secret of another, and a checksum that fits
    let head = format!("{}{}", &keys[0][..17], &keys[1][17..47]);
    let mut sum = crc32fast::hash(head.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(sum % 62) as usize];
        sum /= 62;
    }
    keys.push(head + std::str::from_utf8(&digits).unwrap());
    let asked: Vec<_> = (0..40).map(|number| number % keys.len()).collect();
    let found = futures::future::join_all(asked.iter().map(|place| test.engine.actor_of_key(&keys[*place]))).await;
    for (place, found) in asked.into_iter().zip(found) {
        let role = found.unwrap().map(|actor| match actor.kind {
            ActorKind::ApiKey { role, .. } | ActorKind::User { role, .. } => role,
            ActorKind::Runner { .. } => panic!("a key is no runner's"),
        });
        assert_eq!(role, roles.get(place).copied(), "key {place}");
    }
    let used: i64 =
        sqlx::query_scalar("select count(*) from api_key where last_used_at = '2026-11-20T09:00:00Z'").fetch_one(&pool).await.unwrap();
    assert_eq!(used, 3);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_session_lasts_until_it_is_idle_too_long_or_too_old(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let start = engine::testing::START.parse::<domain::Timestamp>().unwrap();
    let data = serde_json::json!({ "user": "ada" });
    let hash = [7_u8; 32];
    assert!(test.engine.create_session(&hash, &data, start + TimeDelta::hours(8)).await.unwrap());
    assert!(!test.engine.create_session(&hash, &data, start + TimeDelta::hours(8)).await.unwrap(), "the id is taken");
    assert_eq!(test.engine.load_session(&hash).await.unwrap().unwrap().data, data);
    for day in 0..7 {
        test.engine.save_session(&hash, &data, start + TimeDelta::days(day) + TimeDelta::hours(47)).await.unwrap();
        assert!(test.engine.load_session(&hash).await.unwrap().is_some(), "day {day}");
        test.advance(TimeDelta::days(1));
    }
    assert!(test.engine.load_session(&hash).await.unwrap().is_none(), "seven days are enough");
    test.engine.delete_session(&hash).await.unwrap();
    test.engine.save_session(&hash, &data, start + TimeDelta::days(30)).await.unwrap();
    assert!(test.engine.load_session(&hash).await.unwrap().is_none(), "a late write does not sign in again");
    assert!(test.engine.create_session(&[8; 32], &data, start).await.unwrap());
    assert_eq!(test.engine.delete_expired_sessions().await.unwrap(), 1);
}
