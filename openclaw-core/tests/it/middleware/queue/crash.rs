//! Processes that go away, and those that find what they left.

use async_trait::async_trait;
use openclaw_core::{
    channel::{Intent, Reconcile, Reconciled},
    records::EffectState,
};

use super::*;

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3600) };
const ALL: [Effect; 5] =
    [Effect::Pure, KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce];

#[derive(Debug)]
struct Owner(Reconciled);

#[async_trait]
impl Reconcile for Owner {
    async fn reconcile(&self, _: &Intent) -> Result<Reconciled, Error> {
        Ok(self.0.clone())
    }
}

/// A call that has its effect and then hangs, in a process that goes away; then another process.
async fn crash(bench: &Bench, effect: Effect, owner: Option<Reconciled>) -> EffectState {
    let hangs = bench.builder(bench.leaf(async |_, _| std::future::pending().await)).build();
    let job = submit(&hangs, effect, 0..1).await[0];
    let running = start(&hangs);
    sleep(S).await;
    running.abort();
    let mut next = bench.builder(bench.leaf(async |n, _| fine(n)));
    if let Some(owner) = owner {
        next = next.reconcile(Owner(owner));
    }
    let next = next.build();
    let running = start(&next);
    sleep(S).await;
    assert!(next.show(&acme(), job).await.unwrap().is_running, "its lease has not run out");
    let _ended = next.wait(&acme(), job).await;
    running.abort();
    next.show(&acme(), job).await.unwrap().state
}

#[tokio::test(start_paused = true)]
async fn what_was_submitted_is_there_behind_a_restart() {
    let bench = Bench::new();
    let first = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let jobs = submit(&first, Effect::AtMostOnce, 0..3).await;
    drop(first);
    let second = bench.builder(bench.leaf(async |n, _| fine(n))).in_flight(1).build();
    let running = start(&second);
    for job in jobs {
        second.wait(&acme(), job).await.unwrap();
    }
    assert_eq!(bench.seen(), [0, 1, 2]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_may_run_twice_runs_again_with_the_same_key() {
    for effect in [Effect::Pure, KEYED, Effect::AtLeastOnce] {
        let bench = Bench::new();
        assert!(matches!(crash(&bench, effect, None).await, EffectState::Done { .. }));
        let seen = bench.seen.lock().unwrap();
        assert_eq!(seen.len(), 2, "{effect:?}");
        assert_eq!(seen[0].1, seen[1].1, "the key is the job's");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_run_twice_is_parked() {
    let short = Effect::Keyed { retention: S };
    for effect in [Effect::AtMostOnce, short, Effect::Reconcilable] {
        let bench = Bench::new();
        let state = crash(&bench, effect, None).await;
        assert!(matches!(state, EffectState::Parked { .. }), "{effect:?}: {state:?}");
        assert_eq!(bench.seen().len(), 1, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_an_effect_is_asked() {
    let answer = Arc::new(json!("found"));
    let bench = Bench::new();
    let happened = Some(Reconciled::Happened(Arc::clone(&answer)));
    let state = crash(&bench, Effect::Reconcilable, happened).await;
    assert_eq!(state, EffectState::Done { answer: SkillAnswer::Done(answer) });
    assert_eq!(bench.seen().len(), 1);

    let bench = Bench::new();
    let state = crash(&bench, Effect::Reconcilable, Some(Reconciled::DidNotHappen)).await;
    assert!(matches!(state, EffectState::Done { .. }));
    assert_eq!(bench.seen().len(), 2);

    let bench = Bench::new();
    let later = Reconciled::NotYetKnown { retry_after: S };
    let state = crash(&bench, Effect::Reconcilable, Some(later)).await;
    assert!(matches!(state, EffectState::Parked { .. }), "asked as often as there are attempts");
    assert_eq!(bench.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_dropped_at_any_point_never_makes_two_effects() {
    for effect in ALL {
        for steps in 0..30 {
            let bench = Bench::new();
            let leaf = || {
                bench.leaf(async |n, _| {
                    for _ in 0..5 {
                        tokio::task::yield_now().await;
                    }
                    fine(n)
                })
            };
            let first = bench.builder(leaf()).build();
            let job = submit(&first, effect, 0..1).await[0];
            let running = start(&first);
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            running.abort();
            let _gone = running.await;
            let second = bench.builder(leaf()).build();
            let again = start(&second);
            let outcome = second.wait(&acme(), job).await;
            again.abort();
            let calls = bench.seen().len();
            let once = matches!(effect, Effect::AtMostOnce | Effect::Reconcilable);
            assert!(calls <= if once { 1 } else { 2 }, "{effect:?}, {steps} steps: {calls} calls");
            if let Err(e) = outcome {
                assert!(once, "{effect:?}, {steps} steps: {e}");
                assert_eq!(e.kind(), ErrorKind::Conflict, "parked where a person sees it");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_call_keeps_its_lease_beside_another_process() {
    let bench = Bench::new();
    let slow = || {
        bench.leaf(async |n, _| {
            sleep(200 * S).await;
            fine(n)
        })
    };
    let (one, two) = (bench.builder(slow()).build(), bench.builder(slow()).build());
    let job = submit(&one, Effect::Pure, 0..1).await[0];
    let running = [start(&one), start(&two)];
    two.wait(&acme(), job).await.unwrap();
    assert_eq!(bench.seen().len(), 1);
    assert_eq!(two.show(&acme(), job).await.unwrap().failed, 0);
    running.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_work_and_repeat_none() {
    let bench = Bench::new();
    let leaf = || {
        bench.leaf(async |n, _| {
            sleep(S).await;
            fine(n)
        })
    };
    let (one, two) = (bench.builder(leaf()).build(), bench.builder(leaf()).build());
    let jobs = submit(&one, Effect::AtMostOnce, 0..64).await;
    let running = [start(&one), start(&two)];
    for job in jobs {
        one.wait(&acme(), job).await.unwrap();
    }
    let mut seen = bench.seen();
    seen.sort_unstable();
    assert_eq!(seen, (0..64).collect::<Vec<_>>());
    assert!(bench.began.elapsed() < 4 * S, "both worked: {:?}", bench.began.elapsed());
    running.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_each_time_ends() {
    for (effect, calls) in [(Effect::AtLeastOnce, 3), (Effect::AtMostOnce, 1)] {
        let bench = Bench::new();
        let bad = bench.leaf(async |n, _| {
            assert!(n > 9, "a bug in the service");
            fine(n)
        });
        let queue = bench.builder(bad).attempts(3).build();
        let job = submit(&queue, effect, 0..1).await[0];
        let running = start(&queue);
        let e = queue.wait(&acme(), job).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Conflict, "it may have happened: parked");
        assert_eq!(bench.seen().len(), calls, "{effect:?}");
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_from_before_its_pause_was_kept_is_run() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let (key, entry) =
        bench.store.scan_all(Key::of(&acme(), "jb").prefix()).await.unwrap().remove(0);
    let [3, fields @ .., 0, 0] = &entry.value[..] else { panic!("{:?}", entry.value) };
    let old = [&[2], fields].concat();
    bench.store.commit(Txn::new("old").op(Op::put(key, old))).await.unwrap();
    let running = start(&queue);
    assert_eq!(queue.wait(&acme(), job).await.unwrap(), SkillAnswer::done(json!(0)));
    running.abort();
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn a_file_brings_the_jobs_back() {
    use openclaw_core::store::RedbStore;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.redb");
    let env = Env::system();
    let leaf = Leaf::new(tower::service_fn(async |call: Call<Arc<Value>>| {
        fine(call.payload().as_u64().unwrap())
    }));
    let open = || Arc::new(RedbStore::open(&path, env.clock()).unwrap());
    let first = RequestQueue::builder("crm", open(), env.clone(), leaf.clone()).build();
    let jobs = submit(&first, Effect::AtMostOnce, 0..3).await;
    drop(first);
    let second = RequestQueue::builder("crm", open(), env.clone(), leaf).build();
    let running = start(&second);
    for (n, job) in jobs.iter().enumerate() {
        assert_eq!(second.wait(&acme(), *job).await.unwrap(), SkillAnswer::done(json!(n)));
    }
    second.drain();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_backup_holds_is_parked_where_it_is_restored() {
    use openclaw_core::{
        records::Restore,
        store::{Backup, BackupFile},
    };

    for (running, effect) in
        [(false, Effect::AtMostOnce), (true, Effect::AtMostOnce), (true, KEYED)]
    {
        let bench = Bench::new();
        let first = bench.builder(bench.leaf(async |_, _| std::future::pending().await)).build();
        let job = submit(&first, effect, 0..1).await[0];
        if running {
            let running = start(&first);
            sleep(S).await;
            running.abort();
        }
        let mut bytes = Vec::new();
        Backup::new(Arc::clone(&bench.store)).write(&mut bytes).await.unwrap();
        let file = BackupFile::read(std::io::Cursor::new(bytes), bench.env.clock()).unwrap();
        let store: SharedStore = Arc::new(MemoryStore::new(bench.env.clock()));
        let restored = Restore::new(file, Arc::clone(&store)).run().await.unwrap();
        assert_eq!((restored.aside.jobs, restored.aside.unreadable), (1, 0));
        assert_eq!(restored.inventory.total.jobs.get("parked"), Some(&1));

        let there = Bench { store, ..Bench::new() };
        let next = there.builder(there.leaf(async |n, _| fine(n))).build();
        let running = start(&next);
        sleep(3600 * S).await;
        assert_eq!(there.seen(), [0_u64; 0], "it ran by itself");
        assert!(matches!(next.show(&acme(), job).await.unwrap().state, EffectState::Parked { .. }));
        next.decide(&acme(), job, None).await.unwrap();
        assert_eq!(next.wait(&acme(), job).await.unwrap(), SkillAnswer::done(json!(0)));
        assert_eq!(there.seen(), [0]);
        running.abort();
    }
}
