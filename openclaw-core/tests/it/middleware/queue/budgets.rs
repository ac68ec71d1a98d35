//! Budgets of jobs: reserved when a job is marked as sent, settled with its end.

use openclaw_core::{
    Payer, SessionId,
    records::{Accounts, BudgetConfig, BudgetCost, BudgetLimit, BudgetScope, Budgets, Period},
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};
use tokio::time::timeout;

use super::*;

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };

/// Budgets where a call costs at most 300, and so much may be spent in a period.
fn budgets(per: Period, most: u64) -> Budgets {
    let limits = [BudgetLimit::new("usd", per, most)];
    Budgets::new(BudgetConfig::new([BudgetCost::new("usd", 300)], limits)).unwrap()
}

impl Bench {
    fn accounts(&self, budgets: &Budgets) -> Accounts {
        budgets.accounts(Arc::clone(&self.store), self.env.clone(), acme())
    }

    /// What is spent and reserved in the last window there is.
    async fn sums(&self, budgets: &Budgets) -> (i64, i64) {
        let last = self.accounts(budgets).balances().await.unwrap().pop();
        last.map_or((0, 0), |balance| (balance.spent, balance.reserved))
    }

    /// A service that says what it has spent, and ends like this.
    fn spends(&self, usd: u64, end: fn(u64, usize) -> Result<SkillAnswer, Error>) -> Leaf {
        let seen = Arc::clone(&self.seen);
        let began = self.began;
        Leaf::new(tower::service_fn(move |call: Call<Arc<Value>>| {
            let n = call.payload().as_u64().unwrap();
            let mut seen = seen.lock().unwrap();
            seen.push((n, call.key().unwrap().to_string(), began.elapsed()));
            call.spent("usd", usd);
            let end = end(n, seen.len());
            async move { end }
        }))
    }
}

fn failed(kind: ErrorKind, happened: Happened) -> Result<SkillAnswer, Error> {
    Err(Error::new(kind, "no").with_happened(happened))
}

#[tokio::test(start_paused = true)]
async fn a_job_is_paid_once_and_by_what_it_says() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 1000);
    let silent = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let job = submit(&silent, Effect::AtMostOnce, 0..1).await[0];
    assert_eq!(bench.sums(&budgets).await, (0, 0), "a job that waits reserves nothing");
    let running = start(&silent);
    silent.wait(&acme(), job).await.unwrap();
    assert_eq!(bench.sums(&budgets).await, (300, 0));
    silent.drain();
    running.await.unwrap();
    let told = bench.builder(bench.spends(120, |n, _| fine(n))).budgets(budgets.clone()).build();
    let job = submit(&told, Effect::AtMostOnce, 1..2).await[0];
    let running = start(&told);
    told.wait(&acme(), job).await.unwrap();
    assert_eq!(bench.sums(&budgets).await, (420, 0));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_budget_is_spent_keeps_its_turn_and_others_go_on() {
    let bench = Bench::new();
    let limits = [BudgetLimit::new("usd", Period::Hour, 700).of("crm.put")];
    let config = BudgetConfig::new([BudgetCost::new("usd", 300)], limits);
    let budgets = Budgets::new(config).unwrap();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..4).await;
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
    let other = Call::skill(Context::new(acme()), &manifest, Arc::new(json!(9)));
    let other = queue.submit(other).await.unwrap();
    let running = start(&queue);
    for job in [jobs[0], jobs[1], other] {
        queue.wait(&acme(), job).await.unwrap();
    }
    sleep(1800 * S).await;
    assert_eq!((bench.seen(), bench.sums(&budgets).await), (vec![0, 1, 9], (600, 0)));
    let waits = queue.show(&acme(), jobs[2]).await.unwrap();
    assert_eq!((waits.state.name(), waits.failed, waits.is_running), ("claimed", 0, false));
    for job in &jobs[2..] {
        queue.wait(&acme(), *job).await.unwrap();
    }
    assert_eq!(bench.seen(), [0, 1, 9, 2, 3], "in their order, when it renews");
    assert!(bench.began.elapsed() < 3660 * S, "{:?}", bench.began.elapsed());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn room_that_an_operator_makes_is_found_before_the_budget_renews() {
    let bench = Bench::new();
    let budgets = budgets(Period::Month, 300);
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..2).await;
    let running = start(&queue);
    queue.wait(&acme(), jobs[0]).await.unwrap();
    sleep(600 * S).await;
    let account = openclaw_core::records::Account::new("usd", "*", Period::Month);
    bench.accounts(&budgets).adjust(&account, -300, "ann", "a top-up").await.unwrap();
    timeout(90 * S, queue.wait(&acme(), jobs[1])).await.unwrap().unwrap();
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_for_which_there_will_never_be_room_ends_with_the_refusal() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 299);
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    let e = queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No));
    assert!(e.message().contains("over 299 usd of * per ever of the tenant"), "{e}");
    assert!(bench.seen().is_empty() && bench.sums(&budgets).await == (0, 0));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_surely_did_nothing_gives_back_before_the_next() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 400);
    let leaf = bench.spends(40, |n, tries| match tries {
        1 => failed(ErrorKind::Unavailable, Happened::No),
        _ => fine(n),
    });
    let queue = bench.builder(leaf).budgets(budgets.clone()).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap();
    assert_eq!(bench.seen(), [0, 0]);
    assert_eq!(bench.sums(&budgets).await, (80, 0), "what it spent in vain counts");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_stays_reserved_until_a_person_decides() {
    for happened in [true, false] {
        let bench = Bench::new();
        let budgets = budgets(Period::Ever, 1000);
        let leaf = bench.leaf(async |n, tries| match tries {
            1 => failed(ErrorKind::Timeout, Happened::Maybe),
            _ => fine(n),
        });
        let queue = bench.builder(leaf).budgets(budgets.clone()).build();
        let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
        let running = start(&queue);
        queue.wait(&acme(), job).await.unwrap_err();
        assert_eq!(bench.sums(&budgets).await, (0, 300));
        queue.decide(&acme(), job, happened.then(|| SkillAnswer::done(json!(0)))).await.unwrap();
        queue.wait(&acme(), job).await.unwrap();
        assert_eq!(bench.sums(&budgets).await, (300, 0));
        assert_eq!(bench.seen().len(), if happened { 1 } else { 2 });
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_nobody_heard_the_end_of_is_spent() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 1000);
    let lost = bench.leaf(async |_, _| failed(ErrorKind::Timeout, Happened::Maybe));
    let queue = bench.builder(lost).attempts(2).budgets(budgets.clone()).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((bench.seen().len(), bench.sums(&budgets).await), (2, (300, 0)));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_leaks_nothing_and_pays_once() {
    for label in ["dispatch", "settle"] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseAnswer, Fault::LoseRequest]
        {
            let bench = Bench::new();
            let budgets = budgets(Period::Ever, 300);
            let plan = Plan::default();
            let rows = MemoryStore::new(bench.env.clock());
            let faulty = Arc::new(FaultStore::new(rows.clone(), plan.clone()));
            let leaf = || bench.leaf(async |n, _| fine(n));
            let queue = |store: SharedStore| {
                let builder = RequestQueue::builder("crm", store, bench.env.clone(), leaf());
                builder.lease(S).budgets(budgets.clone()).build()
            };
            let first = queue(faulty);
            let job = submit(&first, KEYED, 0..1).await[0];
            plan.nth(label, 1, fault);
            let running = start(&first);
            sleep(S / 2).await;
            running.abort();
            let second = queue(Arc::new(rows.clone()));
            let running = start(&second);
            second.wait(&acme(), job).await.unwrap();
            let accounts = budgets.accounts(Arc::new(rows), bench.env.clone(), acme());
            let balances = accounts.balances().await.unwrap();
            let [balance] = &balances[..] else { panic!("{balances:?}") };
            assert_eq!((balance.spent, balance.reserved), (300, 0), "{label} {fault:?}");
            running.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_holds_nothing() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 300);
    let leaf = bench.leaf(async |_, _| failed(ErrorKind::Unavailable, Happened::No));
    let queue = bench.builder(leaf).budgets(budgets.clone()).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    sleep(S / 100).await;
    running.abort();
    queue.cancel(&acme(), job).await.unwrap();
    assert_eq!((bench.seen().len(), bench.sums(&budgets).await), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_job_counts_where_its_payer_does() {
    let bench = Bench::new();
    let limits = [BudgetLimit::new("usd", Period::Day, 300).each(BudgetScope::Session)];
    let config = BudgetConfig::new([BudgetCost::new("usd", 300)], limits);
    let budgets = Budgets::new(config).unwrap();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let mut jobs = Vec::new();
    for (n, place) in ["c1", "c1", "c2"].into_iter().enumerate() {
        let payer = Payer::new().in_session(SessionId::new(place).unwrap());
        let call = call(Effect::AtMostOnce, n as u64);
        let context = call.context().clone().with_payer(payer);
        jobs.push(queue.submit(call.with_context(context)).await.unwrap());
    }
    let running = start(&queue);
    queue.wait(&acme(), jobs[0]).await.unwrap();
    queue.wait(&acme(), jobs[2]).await.unwrap();
    sleep(600 * S).await;
    assert_eq!(bench.seen(), [0, 2]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_from_before_budgets_is_run_and_paid() {
    let bench = Bench::new();
    let budgets = budgets(Period::Ever, 300);
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).budgets(budgets.clone()).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let (key, entry) =
        bench.store.scan_all(Key::of(&acme(), "jb").prefix()).await.unwrap().remove(0);
    let [3, fields @ .., 0, 0, 0, 0] = &entry.value[..] else { panic!("{:?}", entry.value) };
    let old = [&[1], fields].concat();
    bench.store.commit(Txn::new("old").op(Op::put(key, old))).await.unwrap();
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap();
    assert_eq!((bench.seen(), bench.sums(&budgets).await), (vec![0], (300, 0)));
    running.abort();
}
