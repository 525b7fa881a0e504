use super::*;

#[test]
fn a_server_that_does_not_say_what_it_speaks_speaks_the_last_that_did_not() {
    let opened: ToRunner = serde_json::from_str(r#"{"type":"opened","nonce":"n"}"#).unwrap();
    assert_eq!(opened, ToRunner::Opened { nonce: "n".into(), version: 7 });
}

#[test]
fn an_order_that_does_not_say_whose_is_for_a_machine_of_one_workspace() {
    let nil = uuid::Uuid::nil();
    let attempt = AttemptKey { task_id: crate::TaskId(nil), attempt_id: crate::AttemptId(nil), number: 1 };
    let older = serde_json::json!({"attempt": attempt, "number": 1, "repository": "https://example.org/a/b.git", "commit": "0123456",
                                   "saved_on": "muster/a-1", "branch": "muster/a-1", "left_at": null});
    let order: LandingOrder = serde_json::from_value(older).unwrap();
    assert_eq!(order.credentials, Credentials::Machine);
    let others = Credentials::Workspace { slug: "other".into() };
    assert_eq!(serde_json::to_value(others).unwrap(), serde_json::json!({"whose": "workspace", "slug": "other"}));
}

#[test]
fn what_is_said_counts_once_and_in_its_order() {
    let of = |sequence| Arrival::of(sequence, 2);
    assert_eq!([1, 2, 3, 4].map(of), [Arrival::Again, Arrival::Again, Arrival::Next, Arrival::TooEarly]);
}

#[test]
fn what_was_only_added_is_left_out_by_whoever_does_not_know_it() {
    let lacks = serde_json::to_string(&ToServer::Lacks { attempts: vec![], optional: true }).unwrap();
    assert!(leave_out(&lacks), "{lacks}");
    let nil = uuid::Uuid::nil();
    let attempt = AttemptKey { task_id: crate::TaskId(nil), attempt_id: crate::AttemptId(nil), number: 1 };
    let rejects = serde_json::to_string(&ToServer::Rejects { attempt, reason: "it stops".into(), optional: true }).unwrap();
    assert!(leave_out(&rejects), "{rejects}");
    let drain = serde_json::to_string(&ToRunner::Drain { on: true, optional: true }).unwrap();
    assert!(leave_out(&drain), "{drain}");
    let keeps = serde_json::to_string(&ToServer::Keeps { attempts: vec![attempt], optional: true }).unwrap();
    assert!(leave_out(&keeps), "{keeps}");
    let forget = serde_json::to_string(&ToRunner::Forget { attempts: vec![attempt], optional: true }).unwrap();
    assert!(leave_out(&forget), "{forget}");
    let started: Said = serde_json::from_str(r#"{"what":"started","base_commit":"0123456","branch":"muster/a-2"}"#).unwrap();
    assert_eq!(started, Said::Started { base_commit: "0123456".into(), branch: "muster/a-2".into(), continues: None });
    let config = serde_json::to_string(&ToRunner::Config { slots: Some(8), optional: true }).unwrap();
    assert!(leave_out(&config), "{config}");
    assert!(!leave_out(r#"{"type":"assign"}"#));
    let renewed: ToRunner = serde_json::from_str(r#"{"type":"renewed","beat":1,"stale":[],"cancel":[],"news":"of version 9"}"#).unwrap();
    assert_eq!(renewed, ToRunner::Renewed { beat: 1, stale: vec![], cancel: vec![], tell: vec![], believed: vec![] });
}
