use domain::{SessionEvent, SessionEventKind, TaskId};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

fn key(number: u128) -> AttemptKey {
    AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::from_u128(number)), number: 1 }
}

/// In a folder of its own, which outlives it when it is kept.
fn outbox() -> (TempDir, Outbox) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = next_life(&folder);
    (folder, outbox)
}

/// One that finds what is there, on a disk that may be as full as it likes.
fn next_life(folder: &TempDir) -> Outbox {
    Outbox::new(folder.path().to_owned(), 0)
}

/// What goes down the link now, as if all of it was synced: numbers of what is said, and pieces of log with their offsets.
fn sent(outbox: &Outbox) -> Vec<String> {
    let mut sent = vec![];
    loop {
        let next = lock(&outbox.book).next();
        match next {
            None => return sent,
            Some((attempt, Next::Sync { .. })) => lock(&outbox.book).synced(attempt, Synced { up_to: u64::MAX, survives: true }),
            Some((_, Next::Message(message))) => sent.push(shown(*message)),
        }
    }
}

fn shown(message: ToServer) -> String {
    match message {
        ToServer::Said { sequence, said: Said::GivenUp { .. }, .. } => format!("#{sequence} given up"),
        ToServer::Said { sequence, .. } => format!("#{sequence}"),
        ToServer::Log { offset, bytes, .. } if bytes.ends_with(page::BROKE_OFF.as_bytes()) => format!("{offset}:broke off"),
        ToServer::Log { offset, bytes, .. } => format!("{offset}:{}", String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn said_about(folder: &TempDir, key: AttemptKey) -> PathBuf {
    folder.path().join(format!("{}.said", key.attempt_id))
}

fn log(outbox: &Outbox, key: AttemptKey, text: &str) {
    outbox.log(key.attempt_id, LogStream::Stdout, text.as_bytes().to_vec());
}

fn start(outbox: &Outbox, key: AttemptKey) {
    outbox.open(key);
    outbox.say(key.attempt_id, Said::Verifying);
    log(outbox, key, "one ");
    log(outbox, key, "two");
}

fn session(text: String) -> Said {
    let event = SessionEvent { number: 1, at: crate::clock::now(), kind: SessionEventKind::Message { text } };
    Said::Session { events: vec![event] }
}

#[test]
fn what_is_not_answered_is_said_again_over_the_next_link() {
    let (_folder, outbox) = outbox();
    start(&outbox, key(1));
    assert_eq!(sent(&outbox), ["#1", "0:one ", "4:two"]);
    assert!(sent(&outbox).is_empty(), "once over one link");
    outbox.stored(key(1), 1);
    outbox.begin_again();
    assert_eq!(sent(&outbox), ["0:one ", "4:two"]);
    assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 4 }));
    assert_eq!(sent(&outbox), ["4:two"]);
    outbox.say(key(1).attempt_id, Said::Verifying);
    assert_eq!(sent(&outbox), ["#2"], "numbers and offsets go on");
    log(&outbox, key(1), "!");
    assert_eq!(sent(&outbox), ["7:!"]);
}

#[test]
fn a_piece_that_is_there_in_part_is_cut() {
    let (_folder, outbox) = outbox();
    start(&outbox, key(1));
    assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 5 }));
    assert_eq!(sent(&outbox), ["5:wo"]);
    outbox.logged(key(1), 3);
    outbox.begin_again();
    assert_eq!(sent(&outbox), ["5:wo"], "an old answer takes nothing back");
    outbox.logged(key(1), 7);
    outbox.begin_again();
    assert!(sent(&outbox).is_empty());
}

#[test]
fn a_server_that_has_forgotten_is_noticed() {
    let (_folder, outbox) = outbox();
    start(&outbox, key(1));
    assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 4 }));
    assert!(!outbox.go_back_to(Heard { attempt: key(1), sequence: 0, log: 4 }));
    assert!(!outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 3 }));
}

#[test]
fn attempts_take_turns() {
    let (_folder, outbox) = outbox();
    for number in 1..=3 {
        outbox.open(key(number));
        log(&outbox, key(number), &format!("{number}a"));
        log(&outbox, key(number), &format!("{number}b"));
    }
    assert_eq!(sent(&outbox), ["0:1a", "0:2a", "0:3a", "2:1b", "2:2b", "2:3b"]);
}

#[tokio::test]
async fn whoever_asks_hears_what_became_of_it() {
    let (_folder, outbox) = outbox();
    let last = |_| Said::GivenUp { artifacts: vec![] };
    let asked = |number: u128| {
        start(&outbox, key(number));
        outbox.ask(key(number).attempt_id, last)
    };
    let (stored, ()) = tokio::join!(asked(1), async {
        outbox.stored(key(1), 1);
        outbox.stored(key(1), 2);
    });
    assert_eq!(stored.unwrap(), Answer::Stored);
    let (stale, ()) = tokio::join!(asked(2), async { outbox.stale(key(2).attempt_id) });
    assert_eq!(stale.unwrap(), Answer::Stale);
    assert!(outbox.ask(key(2).attempt_id, last).await.is_err(), "nothing more is said about it");
    let (closed, ()) = tokio::join!(asked(3), async { outbox.close() });
    assert!(closed.is_err());
    assert!(sent(&outbox).is_empty());
}

#[tokio::test]
async fn what_is_decisive_is_on_the_disk_before_it_is_sent_and_a_log_waits_for_no_disk() {
    let (_folder, outbox) = outbox();
    outbox.open(key(1));
    log(&outbox, key(1), "one");
    outbox.say(key(1).attempt_id, session("two".into()));
    outbox.say(key(1).attempt_id, Said::Verifying);
    let next = || lock(&outbox.book).next().unwrap().1;
    assert!(matches!(next(), Next::Message(message) if matches!(*message, ToServer::Log { .. })));
    assert!(matches!(next(), Next::Message(message) if matches!(*message, ToServer::Said { said: Said::Session { .. }, .. })));
    for _ in 0..2 {
        assert!(matches!(next(), Next::Sync { is_last_word: false, .. }), "nothing goes before it");
    }
    assert!(matches!(outbox.next(|| true).await, ToServer::Said { said: Said::Verifying, .. }));
    outbox.say(key(1).attempt_id, Said::GivenUp { artifacts: vec![] });
    assert!(matches!(next(), Next::Sync { is_last_word: true, .. }));
}

#[tokio::test]
async fn nothing_is_said_before_it_may_be() {
    let (_folder, outbox) = outbox();
    start(&outbox, key(1));
    let may_speak = std::cell::Cell::new(false);
    let next = outbox.next(|| may_speak.get());
    tokio::pin!(next);
    assert!(now(&mut next).await.is_none());
    may_speak.set(true);
    outbox.wake();
    assert!(matches!(next.await, ToServer::Said { sequence: 1, .. }));
}

#[tokio::test]
async fn the_next_life_says_the_rest_to_the_last_word() {
    let (folder, first) = outbox();
    start(&first, key(1));
    first.say(key(1).attempt_id, Said::GivenUp { artifacts: vec![] });
    assert_eq!(sent(&first), ["#1", "0:one ", "4:two", "#2 given up"]);
    drop(first);
    let next = next_life(&folder);
    assert_eq!(next.take_up(key(1)).await.unwrap(), Some(Left::Ended));
    assert_eq!(next.take_up(key(2)).await.unwrap(), None, "it has said nothing");
    assert!(next.go_back_to(Heard { attempt: key(1), sequence: 1, log: 5 }));
    next.begin_again();
    assert_eq!(sent(&next), ["5:wo", "#2 given up"]);
    let (stored, ()) = tokio::join!(next.answer_to(key(1).attempt_id), async { next.stored(key(1), 2) });
    assert_eq!(stored.unwrap(), Answer::Stored);
    assert_eq!(next.answer_to(key(1).attempt_id).await.unwrap(), Answer::Stored, "also to whoever asks late");
    next.forget(key(1).attempt_id).await;
    assert_eq!(next_life(&folder).take_up(key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_an_earlier_life_left_at_work_is_given_up_after_what_it_has_said() {
    let (folder, first) = outbox();
    start(&first, key(1));
    drop(first);
    let next = next_life(&folder);
    assert_eq!(next.take_up(key(1)).await.unwrap(), Some(Left::AtWork));
    assert!(sent(&next).iter().all(|sent| !sent.contains("given up")), "not before a server is there");
    next.begin_again();
    assert_eq!(sent(&next), ["#1", "0:one ", "4:two", "7:broke off", "#2 given up"]);
    drop(next);
    let third = next_life(&folder);
    assert_eq!(third.take_up(key(1)).await.unwrap(), Some(Left::Ended), "that was its last word");
}

#[tokio::test]
async fn what_the_disk_has_lost_and_the_server_has_heard_keeps_its_numbers() {
    let (folder, first) = outbox();
    start(&first, key(1));
    drop(first);
    let next = next_life(&folder);
    next.take_up(key(1)).await.unwrap();
    assert!(next.go_back_to(Heard { attempt: key(1), sequence: 4, log: 90 }));
    next.begin_again();
    assert_eq!(sent(&next), ["90:broke off", "#5 given up"], "a number or a byte that was heard would have no effect");
}

#[tokio::test]
async fn a_server_that_has_forgotten_what_an_earlier_life_was_told_is_noticed() {
    let (folder, first) = outbox();
    start(&first, key(1));
    // everything is answered, and the file begins anew behind it
    first.log(key(1).attempt_id, LogStream::Stdout, vec![b'x'; 2 * 1024 * 1024]);
    first.stored(key(1), 1);
    first.logged(key(1), 7 + 2 * 1024 * 1024);
    log(&first, key(1), "more");
    first.say(key(1).attempt_id, Said::Verifying);
    drop(first);
    let heard = |sequence, log| Heard { attempt: key(1), sequence, log };
    for (told, remembers) in [(heard(1, 7 + 2 * 1024 * 1024), true), (heard(0, 7 + 2 * 1024 * 1024), false), (heard(1, 7), false)] {
        let next = next_life(&folder);
        next.take_up(key(1)).await.unwrap();
        assert_eq!(next.go_back_to(told), remembers, "{told:?}");
    }
}

#[tokio::test]
async fn what_the_journal_has_forgotten_is_removed_and_nothing_else() {
    let ((folder, outbox), journal) = (outbox(), tempfile::tempdir().unwrap());
    // in the way, and of no attempt
    fs::create_dir(said_about(&folder, key(0))).unwrap();
    for number in 1..=3 {
        start(&outbox, key(number));
    }
    fs::write(journal.path().join(format!("{}.json", key(2).attempt_id)), "").unwrap();
    fs::write(journal.path().join(format!("{}.unreadable", key(3).attempt_id)), "").unwrap();
    fs::write(folder.path().join("note.txt"), "somebody's").unwrap();
    outbox.keep_what_is_in(&Journal::new(journal.path().to_owned())).await;
    let next = next_life(&folder);
    for (number, left) in [(1, None), (2, Some(Left::AtWork)), (3, Some(Left::AtWork))] {
        assert_eq!(next.take_up(key(number)).await.unwrap(), left, "{number}");
    }
    assert!(folder.path().join("note.txt").exists());
}

#[tokio::test]
async fn a_journal_that_cannot_be_asked_has_forgotten_nothing() {
    let (folder, outbox) = outbox();
    start(&outbox, key(1));
    // no folder, so that what is below it can neither be there nor be missing
    let journal = folder.path().join("journal");
    fs::write(&journal, "").unwrap();
    outbox.keep_what_is_in(&Journal::new(journal)).await;
    assert_eq!(next_life(&folder).take_up(key(1)).await.unwrap(), Some(Left::AtWork));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_what_was_never_said() {
    let (folder, first) = outbox();
    fs::create_dir(said_about(&folder, key(1))).unwrap();
    assert!(first.take_up(key(1)).await.is_err());
    assert!(said_about(&folder, key(1)).exists(), "for a life that can");
}

#[tokio::test]
async fn what_another_version_has_said_is_set_aside() {
    let (folder, first) = outbox();
    start(&first, key(1));
    let path = said_about(&folder, key(1));
    let mut bytes = fs::read(&path).unwrap();
    let content = b"?\0\0\0\0\0\0\0\0gossip";
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    bytes.extend_from_slice(content);
    fs::write(&path, &bytes).unwrap();
    let next = next_life(&folder);
    assert_eq!(next.take_up(key(1)).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(!path.exists() && fs::read(path.with_extension("unreadable")).unwrap() == bytes, "all of it, for a person");
    assert_eq!(next.take_up(key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_sync_that_fails_holds_nothing_up_and_what_comes_later_is_synced_again() {
    let (folder, outbox) = outbox();
    // takes everything, and cannot be synced
    std::os::unix::fs::symlink("/dev/null", said_about(&folder, key(1))).unwrap();
    outbox.open(key(1));
    for number in 1..=2 {
        outbox.say(key(1).attempt_id, Said::Verifying);
        let next = lock(&outbox.book).next().unwrap().1;
        let Next::Sync { unsynced, .. } = next else { panic!("number {number} is sent as if it was kept") };
        assert!(unsynced.sync().await.1.is_err(), "number {number}");
        assert!(matches!(outbox.next(|| true).await, ToServer::Said { sequence, .. } if sequence == number));
    }
}

/// Said by an earlier life, in the middle of its work.
async fn taken_up() -> (TempDir, Outbox) {
    let (folder, first) = outbox();
    start(&first, key(1));
    let next = next_life(&folder);
    next.take_up(key(1)).await.unwrap();
    (folder, next)
}

/// Links that come no faster than they count.
async fn links(outbox: &Outbox, count: u32) {
    for _ in 0..count {
        tokio::time::advance(page::A_LINK).await;
        outbox.begin_again();
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_server_answers_is_set_aside_after_some_links_and_not_while_it_is_answered() {
    let (folder, next) = taken_up().await;
    links(&next, page::IN_VAIN).await;
    next.stored(key(1), 1);
    links(&next, page::IN_VAIN).await;
    assert_eq!(sent(&next), ["0:one ", "4:two", "7:broke off", "#2 given up"], "it is counted anew");
    // what is known already is no answer
    assert!(next.go_back_to(Heard { attempt: key(1), sequence: 1, log: 0 }));
    let answer = next.answer_to(key(1).attempt_id);
    tokio::pin!(answer);
    assert!(now(&mut answer).await.is_none());
    (0..=page::IN_VAIN).for_each(|_| next.begin_again());
    assert!(now(&mut answer).await.is_none(), "whoever drops each link at once has not refused anything");
    links(&next, 1).await;
    assert_eq!(now(&mut answer).await.unwrap().unwrap(), Answer::SetAside);
    assert!(sent(&next).is_empty());
    let path = said_about(&folder, key(1));
    assert!(!path.exists() && path.with_extension("unreadable").exists());
}

#[tokio::test(start_paused = true)]
async fn what_this_life_says_is_never_set_aside() {
    let (folder, outbox) = outbox();
    start(&outbox, key(1));
    links(&outbox, page::IN_VAIN + 1).await;
    assert_eq!(sent(&outbox), ["#1", "0:one ", "4:two"]);
    (0..=page::IN_VAIN).for_each(|_| outbox.not_understood());
    assert!(said_about(&folder, key(1)).exists() && sent(&outbox).is_empty());
}

#[tokio::test]
async fn what_is_not_understood_is_said_again_a_few_times_where_it_can_be_of_nothing_else() {
    let (_folder, next) = taken_up().await;
    next.not_understood();
    next.begin_again();
    start(&next, key(2));
    sent(&next);
    (0..=page::IN_VAIN).for_each(|_| next.not_understood());
    assert!(sent(&next).is_empty(), "it may be of the other one");
    next.stored(key(2), 1);
    next.logged(key(2), 7);
    for _ in 0..(page::IN_VAIN - 1) / page::A_COMPLAINT {
        next.not_understood();
        assert_eq!(sent(&next), ["#1", "0:one ", "4:two", "7:broke off", "#2 given up"]);
    }
    let answer = next.answer_to(key(1).attempt_id);
    tokio::pin!(answer);
    assert!(now(&mut answer).await.is_none());
    next.not_understood();
    assert_eq!(now(&mut answer).await.unwrap().unwrap(), Answer::SetAside);
}

/// Three pieces, of which one fits into memory.
fn tight(left_free: u64) -> (TempDir, Outbox) {
    let (folder, outbox) = outbox();
    (folder, Outbox { bounds: Bounds { in_memory: 1000, on_disk: 3000, left_free }, ..outbox })
}

fn piece(of: char) -> String {
    of.to_string().repeat(900)
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_said_from_the_disk_and_beyond_that_whoever_writes_waits() {
    let (_folder, outbox) = tight(0);
    outbox.open(key(1));
    for of in ['a', 'b', 'c'] {
        assert!(outbox.room(key(1).attempt_id).await.is_ok());
        log(&outbox, key(1), &piece(of));
    }
    // the last byte of all this room
    outbox.say(key(1).attempt_id, session(piece('d')));
    let room = outbox.room(key(1).attempt_id);
    tokio::pin!(room);
    assert!(now(&mut room).await.is_none());
    let expected = [format!("0:{}", piece('a')), format!("900:{}", piece('b')), format!("1800:{}", piece('c')), "#1".to_owned()];
    assert_eq!(sent(&outbox), expected);
    outbox.logged(key(1), 1800);
    assert!(room.await.is_ok());
    assert!(outbox.room(key(2).attempt_id).await.is_err(), "there is no such attempt");
}

#[tokio::test]
async fn a_disk_that_is_needed_for_other_things_takes_nothing_that_memory_does_not() {
    let (_folder, outbox) = tight(u64::MAX);
    outbox.open(key(1));
    log(&outbox, key(1), &piece('a'));
    log(&outbox, key(1), &piece('b'));
    let room = outbox.room(key(1).attempt_id);
    tokio::pin!(room);
    assert!(now(&mut room).await.is_none());
    outbox.logged(key(1), 1800);
    assert!(room.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_has_room_again_is_seen_while_nobody_answers() {
    let (folder, outbox) = tight(u64::MAX);
    outbox.open(key(1));
    log(&outbox, key(1), &piece('a'));
    log(&outbox, key(1), &piece('b'));
    let room = outbox.room(key(1).attempt_id);
    tokio::pin!(room);
    assert!(now(&mut room).await.is_none());
    // one that cannot be asked has room
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), room).await.expect("it is looked at again").is_ok());
}

#[tokio::test]
async fn a_disk_that_is_full_loses_nothing_while_the_runner_lives() {
    let (folder, outbox) = tight(0);
    std::os::unix::fs::symlink("/dev/full", said_about(&folder, key(1))).unwrap();
    outbox.open(key(1));
    for of in ['a', 'b'] {
        log(&outbox, key(1), &piece(of));
    }
    let room = outbox.room(key(1).attempt_id);
    tokio::pin!(room);
    assert!(now(&mut room).await.is_none(), "memory is all there is");
    outbox.say(key(1).attempt_id, Said::GivenUp { artifacts: vec![] });
    assert_eq!(sent(&outbox), [format!("0:{}", piece('a')), format!("900:{}", piece('b')), "#1 given up".to_owned()]);
}

#[tokio::test]
async fn what_the_disk_does_not_give_back_is_marked_and_nothing_moves() {
    let (folder, outbox) = tight(0);
    outbox.open(key(1));
    for of in ['a', 'b'] {
        log(&outbox, key(1), &piece(of));
    }
    log(&outbox, key(1), "after");
    let path = said_about(&folder, key(1));
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.windows(900).position(|part| part == piece('b').as_bytes()).unwrap();
    bytes[second..second + 900].fill(b'x');
    fs::write(&path, bytes).unwrap();
    let sent = sent(&outbox);
    assert_eq!((&sent[0], &sent[2]), (&format!("0:{}", piece('a')), &"1800:after".to_owned()));
    assert!(sent[1].starts_with("900:\n900 bytes of this log could not be read back"), "{}", sent[1]);
    assert_eq!(sent[1].len(), "900:".len() + 900);
}

#[tokio::test]
async fn a_session_takes_the_room_of_a_log() {
    let (_folder, outbox) = tight(u64::MAX);
    outbox.open(key(1));
    outbox.say(key(1).attempt_id, session("x".repeat(1000)));
    let room = outbox.room(key(1).attempt_id);
    tokio::pin!(room);
    assert!(now(&mut room).await.is_none());
    outbox.stored(key(1), 1);
    assert!(room.await.is_ok());
}

/// Its outcome, if it is there now.
async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = std::future::ready(()) => None,
    }
}
