//! A line that breaks at every step of a call.

use openclaw_testkit::proxy::{Cut, Direction, FaultProxy};

use super::*;

/// A store behind a proxy, and the same store without one.
struct Line {
    proxy: FaultProxy,
    store: RedisStore,
    direct: RedisStore,
}

impl Line {
    async fn new(timeout: Duration) -> Option<Self> {
        let url = url()?;
        let port = SERVER.as_ref()?.port();
        let proxy = FaultProxy::to(([127, 0, 0, 1], port).into()).await.unwrap();
        let prefix = fresh_prefix();
        let through = format!("redis://{}/0", proxy.addr());
        let builder = RedisStore::builder().prefix(prefix);
        let store = builder.clone().timeout(timeout).open(&through).await.unwrap();
        applied(store.commit(Txn::new("t").op(Op::put(Key::system("x").build(), "x"))).await);
        Some(Self { proxy, store, direct: builder.open(&url).await.unwrap() })
    }

    /// What the error says is true, and what is read back stays.
    async fn settle(&self, n: u64, outcome: Outcome) -> bool {
        let there = self.store.get(&key(n)).await.unwrap().is_some();
        match outcome {
            Ok(Commit::Applied(_)) => assert!(there, "{n}: answered and not there"),
            Err(StoreError::OutcomeUnknown(id)) => assert_eq!(id, TxnId::new(n)),
            Err(StoreError::Unavailable(_)) => assert!(!there, "{n}: refused and there"),
            other => panic!("{n}: {other:?}"),
        }
        match self.store.commit(admit(n)).await.unwrap() {
            Commit::Applied(_) => assert!(!there, "{n}: it is gone again"),
            Commit::Conflict(_) => assert!(there, "{n}: it came through later"),
        }
        there
    }
}

const TEN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_request_that_is_cut_anywhere_is_settled_by_reading_back() {
    let Some(line) = Line::new(TEN).await else { return };
    let mut whole = 0;
    for (n, bytes) in (0..).step_by(23).take(30).enumerate() {
        for how in [Cut::Reset, Cut::Finish] {
            let n = 2 * n as u64 + u64::from(how == Cut::Finish);
            line.proxy.all().only(Direction::ToServer).cut_after_more(bytes, how);
            let outcome = line.store.commit(admit(n)).await;
            line.proxy.all().clear();
            whole += u64::from(line.settle(n, outcome).await);
        }
    }
    assert!(whole > 0 && whole < 60, "{whole} of 60 came through: all cuts were in one place");
    assert_eq!(steps(&line.direct).await, (0..60).collect());
}

#[tokio::test]
async fn an_answer_that_is_cut_anywhere_is_unknown_and_there() {
    let Some(line) = Line::new(TEN).await else { return };
    let mut unknown = 0;
    for n in 0..60 {
        line.proxy.all().only(Direction::ToClient).cut_after_more(n / 2, Cut::Reset);
        let outcome = line.store.commit(admit(n)).await;
        line.proxy.all().clear();
        unknown += u64::from(matches!(outcome, Err(StoreError::OutcomeUnknown(_))));
        assert!(line.settle(n, outcome).await, "{n}: the whole request was handed over");
    }
    assert!(unknown > 20, "only {unknown} answers were cut");
    assert_eq!(steps(&line.direct).await.len(), 60);
}

#[tokio::test]
async fn a_line_that_is_down_before_the_request_refuses_it() {
    let Some(line) = Line::new(TEN).await else { return };
    for n in 0..20 {
        line.proxy.refuse();
        line.proxy.close_all(if n % 2 == 0 { Cut::Reset } else { Cut::Finish });
        // Until the connection is seen to be down, nobody knows.
        loop {
            let outcome = line.store.commit(admit(n)).await;
            assert_eq!(line.direct.get(&key(n)).await.unwrap(), None);
            match outcome {
                Err(StoreError::OutcomeUnknown(_)) => {}
                Err(StoreError::Unavailable(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(line.store.get(&key(n)).await, Err(StoreError::Unavailable(_))));
        line.proxy.heal();
        applied(line.store.commit(admit(n)).await);
    }
}

#[tokio::test]
async fn a_read_goes_through_a_connection_that_broke() {
    let Some(line) = Line::new(TEN).await else { return };
    applied(line.store.commit(admit(1)).await);
    for bytes in 0..40 {
        line.proxy.all().only(Direction::ToClient).cut_after_more(bytes, Cut::Reset);
        let wanted = key(1);
        let read = line.store.get(&wanted);
        let clear = async {
            // The second try must not be cut, too.
            let first = line.proxy.connections();
            while line.proxy.connections() == first && bytes < 20 {
                tokio::task::yield_now().await;
            }
            line.proxy.all().clear();
        };
        let (row, ()) = tokio::join!(read, clear);
        assert!(matches!(row, Ok(Some(_)) | Err(StoreError::Unavailable(_))), "{bytes}: {row:?}");
        assert!(line.store.get(&key(1)).await.unwrap().is_some(), "{bytes}");
    }
}

#[tokio::test]
async fn a_commit_that_was_held_up_never_comes_through_behind_its_reading() {
    let Some(line) = Line::new(Duration::from_millis(300)).await else { return };
    for n in 0..6 {
        // The request, or its answer, is held on the way, as when a cable is pulled.
        let way = if n % 2 == 0 { Direction::ToServer } else { Direction::ToClient };
        line.proxy.all().only(way).partition();
        let outcome = line.store.commit(admit(n)).await;
        assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{outcome:?}");
        // Only the connection that is made now is not held.
        line.proxy.next().heal();
        let there = line.store.get(&key(n)).await.unwrap().is_some();
        line.proxy.heal();
        for _ in 0..50 {
            let later = line.direct.get(&key(n)).await.unwrap().is_some();
            assert_eq!(later, there, "{n}: it came through later");
        }
        line.settle(n, outcome).await;
    }
    assert_eq!(steps(&line.direct).await.len(), 6);
}

#[tokio::test]
async fn callers_behind_a_silent_server_wait_once_and_not_in_turn() {
    let Some(line) = Line::new(Duration::from_millis(300)).await else { return };
    line.proxy.partition();
    let began = tokio::time::Instant::now();
    let commits = (0..40).map(|n| {
        let store = line.store.clone();
        tokio::spawn(async move {
            drop(store.commit(admit(n)).await);
            store.commit(admit(n)).await
        })
    });
    for commit in commits.collect::<Vec<_>>() {
        let outcome = commit.await.unwrap();
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    line.proxy.heal();
    drop(line.store.commit(admit(99)).await.unwrap());
}
