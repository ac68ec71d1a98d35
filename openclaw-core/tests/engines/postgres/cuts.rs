//! Connections that are cut at every step, and a server that hangs.

use openclaw_testkit::proxy::{Cut, Direction, FaultProxy};

use super::*;

/// A proxy before a server, and the address that goes through it.
async fn through(address: &str) -> (FaultProxy, String) {
    let (server, rest) = address.split_once("127.0.0.1:").expect("an address");
    let (port, rest) = rest.split_once('/').expect("a port");
    let port: u16 = port.parse().expect("a port");
    let proxy = FaultProxy::to(([127, 0, 0, 1], port).into()).await.expect("a proxy");
    let address = format!("{server}{}/{rest}", proxy.addr());
    (proxy, address)
}

/// How often each outcome came.
#[derive(Debug, Default)]
struct Tally {
    applied: u32,
    refused: u32,
    /// Of unknown outcome, and there.
    there: u32,
    /// Of unknown outcome, and not there.
    absent: u32,
}

impl Tally {
    /// Judges an outcome by what is read back, on the store that gave it.
    async fn judge(&mut self, store: &PostgresStore, n: u64, outcome: Outcome) {
        let there = store.get(&key(n)).await.expect("a read").is_some();
        match outcome {
            Ok(Commit::Applied(_)) => {
                assert!(there, "{n} was acknowledged and is not there");
                self.applied += 1;
            }
            Err(StoreError::Unavailable(why)) => {
                assert!(!there, "{n} was refused ({why}) and is there");
                self.refused += 1;
            }
            Err(StoreError::OutcomeUnknown(id)) => {
                assert_eq!(id, TxnId::new(n), "the id of another");
                *if there { &mut self.there } else { &mut self.absent } += 1;
            }
            other => panic!("{n}: {other:?}"),
        }
        // What was read back is final.
        match store.commit(admit(n)).await.expect("a commit") {
            Commit::Applied(_) => assert!(!there, "{n} was there and is gone"),
            Commit::Conflict(_) => assert!(there, "{n} was read as absent and came later"),
        }
    }
}

async fn cut_everywhere(direction: Direction, step: usize, how: Cut) -> Option<Tally> {
    let (proxy, address) = through(&fresh()?).await;
    let store = open(&address).await;
    // Plans are made, and the pool is warm.
    for n in 0..8 {
        applied(store.commit(admit(n)).await);
    }
    store.get(&key(0)).await.unwrap();
    let before = proxy.bytes(direction);
    applied(store.commit(admit(8)).await);
    let bytes = proxy.bytes(direction) - before;
    assert!(bytes > 100, "one commit is {bytes} bytes");
    let mut tally = Tally::default();
    // Once a second a commit also clears expired rows away, and is longer.
    for (n, more) in (100..).zip((0..bytes + 200).step_by(step)) {
        proxy.all().only(direction).cut_after_more(more, how);
        let outcome = store.commit(admit(n)).await;
        proxy.all().clear();
        tally.judge(&store, n, outcome).await;
    }
    drop(steps(&store).await);
    Some(tally)
}

#[tokio::test]
async fn a_cut_in_what_is_sent_leaves_nothing_behind() {
    let Some(tally) = cut_everywhere(Direction::ToServer, 9, Cut::Reset).await else { return };
    assert!(tally.refused > 5 && tally.absent > 5 && tally.applied > 0, "{tally:?}");
}

#[tokio::test]
async fn a_cut_in_what_is_answered_is_settled_by_reading_back() {
    let Some(tally) = cut_everywhere(Direction::ToClient, 3, Cut::Reset).await else { return };
    assert!(tally.refused > 5 && tally.there > 5 && tally.applied > 0, "{tally:?}");
}

#[tokio::test]
async fn an_end_in_good_order_is_a_cut_too() {
    let Some(tally) = cut_everywhere(Direction::ToClient, 17, Cut::Finish).await else { return };
    assert!(tally.refused > 1 && tally.there > 1, "{tally:?}");
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_nobody_hears_of_it() {
    let Some(address) = fresh() else { return };
    let (proxy, address) = through(&address).await;
    let store = open(&address).await;
    for n in 0..20 {
        applied(store.commit(admit(n)).await);
        assert!(store.get(&key(n)).await.unwrap().is_some());
        proxy.close_all(if n % 2 == 0 { Cut::Reset } else { Cut::Finish });
    }
    assert_eq!(steps(&store).await, (0..20).collect());
    assert!(proxy.connections() >= 40, "nothing was cut");
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_unavailable_until_it_does_not() {
    let Some(address) = fresh() else { return };
    let (proxy, address) = through(&address).await;
    let store = open(&address).await;
    applied(store.commit(admit(1)).await);
    proxy.refuse();
    proxy.close_all(Cut::Reset);
    for outcome in together(&store, (10..300).map(admit)).await {
        let Err(StoreError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains(&proxy.addr().to_string()), "{why}");
    }
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable(_))));
    proxy.heal();
    applied(store.commit(admit(2)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn a_silent_network_ends_every_call_in_bounded_time() {
    let Some(address) = fresh() else { return };
    let (proxy, address) = through(&address).await;
    let limit = Duration::from_millis(400);
    let patient = builder().request_timeout(limit).connect_timeout(limit);
    let store = patient.open(&address).await.unwrap();
    applied(store.commit(admit(1)).await);
    assert!(store.get(&key(1)).await.unwrap().is_some());
    proxy.partition();
    let began = tokio::time::Instant::now();
    let one = key(1);
    let reads = store.get(&one);
    let (outcomes, read) = tokio::join!(together(&store, (10..500).map(admit)), reads);
    let took = began.elapsed();
    assert!(took < 8 * limit, "it took {took:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    for outcome in &outcomes {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    proxy.close_all(Cut::Reset);
    proxy.heal();
    applied(store.commit(admit(2)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn a_late_answer_to_a_commit_is_unknown_and_reading_back_waits_for_it() {
    let Some(address) = fresh() else { return };
    let limit = Duration::from_millis(700);
    let store = builder().request_timeout(limit).open(&address).await.unwrap();
    applied(store.commit(admit(1)).await);
    let (proxy, slow) = through(&address).await;
    let cut = builder().request_timeout(limit).open(&slow).await.unwrap();
    applied(cut.commit(admit(2)).await);
    // The lock and the rows come in time, the answer to the COMMIT does not.
    proxy.all().only(Direction::ToClient).latency(limit * 2 / 3);
    let outcome = cut.commit(admit(3)).await;
    assert_eq!(outcome.unwrap_err(), StoreError::OutcomeUnknown(TxnId::new(3)));
    proxy.all().clear();
    let mut tally = Tally::default();
    tally.judge(&cut, 3, Err(StoreError::OutcomeUnknown(TxnId::new(3)))).await;
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2, 3]));
}
