//! Any sequence of calls, crashes, decisions and waits, against a plain reference.

use std::collections::BTreeMap;

use openclaw_core::store::{Key, StateStoreExt as _};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;

const TENANTS: [&str; 2] = ["acme", "globex"];
/// What is called, what it costs at most, and what it is.
const SKILLS: [(&str, u64, Effect); 2] = [
    ("shop.refund", 300, Effect::AtMostOnce),
    ("mail", 200, Effect::Keyed { retention: Duration::from_secs(86_400) }),
];
/// What is counted together, and how much of it there may be.
const LIMITS: [(&str, Period, u64, BudgetScope); 4] = [
    ("*", Period::Minute, 1000, BudgetScope::Tenant),
    ("shop.*", Period::Ever, 1500, BudgetScope::Tenant),
    ("*", Period::Hour, 1100, BudgetScope::Agent),
    ("*", Period::Ever, 700, BudgetScope::Run),
];

/// One effect: whose, of which skill, and its number.
type Name = (usize, usize, u8);

/// One window: whose, of which limit, its holder, and its end.
type Window = (usize, usize, Holder, u64);

/// Who asks for an effect: two agents, and two runs for good.
fn payer(name: Name) -> Payer {
    let half = u128::from(name.2 / 2);
    Payer::new().of_agent(agent(["clerk", "night"][usize::from(name.2 % 2)])).in_run(
        // They began in the far future: no sweep comes so late.
        MessageId::from_u128(((1 << 47) << 80) + half),
    )
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// To its end.
    Whole(Does),
    /// Its process dies behind the claim.
    DiesClaimed,
    /// Its process dies while it is with the remote.
    DiesSent,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(Name, How),
    Decide(Name, bool),
    Wait(u64),
    Restart,
    Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Claimed,
    Doubt,
    Over,
}

/// What the reference knows of an effect.
#[derive(Clone, Debug)]
struct Known {
    at: At,
    reserved: BTreeMap<Window, u64>,
}

/// What is spent and reserved, by window.
type Sums = BTreeMap<Window, (i64, i64)>;

/// The reference: no store, no commits, no versions.
#[derive(Default)]
struct Reference {
    effects: BTreeMap<Name, Known>,
    spent: BTreeMap<Window, u64>,
}

impl Reference {
    fn held(&self, window: &Window) -> u64 {
        let reserved = self.effects.values().filter_map(|known| known.reserved.get(window));
        reserved.sum::<u64>() + self.spent.get(window).copied().unwrap_or_default()
    }

    fn windows(name: Name, now: openclaw_core::Timestamp) -> Vec<Window> {
        let (tenant, skill, _) = name;
        let counts = |pattern: &str| {
            pattern == "*" || SKILLS[skill].0.starts_with(pattern.trim_end_matches('*'))
        };
        let holder = |scope: BudgetScope| match scope {
            BudgetScope::Agent => Holder::Agent(payer(name).agent.unwrap()),
            BudgetScope::Run => Holder::Run(payer(name).run.unwrap()),
            _ => Holder::Tenant,
        };
        let limits = LIMITS.iter().enumerate().filter(|(_, (pattern, ..))| counts(pattern));
        let window = |(at, (_, per, _, scope)): (usize, &(_, Period, _, _))| {
            (tenant, at, holder(*scope), per.window(now).until.as_millis())
        };
        limits.map(window).collect()
    }

    /// Reserves what is missing; false when a limit is in the way, and nothing changes.
    fn reserve(&mut self, name: Name, now: openclaw_core::Timestamp) -> bool {
        let windows = Self::windows(name, now);
        let before = self.effects.get(&name).map(|known| known.reserved.clone());
        let mut reserved = before.unwrap_or_default();
        reserved.retain(|window, _| windows.contains(window));
        let cost = SKILLS[name.1].1;
        for window in windows {
            let has_room = self.held(&window) + cost <= LIMITS[window.1].2;
            if !reserved.contains_key(&window) && !has_room {
                return false;
            }
            reserved.entry(window).or_insert(cost);
        }
        self.effects.insert(name, Known { at: At::Claimed, reserved });
        true
    }

    fn settle(&mut self, name: Name, at: At, spent: impl Fn(u64) -> u64) {
        let known = self.effects.get_mut(&name).unwrap();
        known.at = at;
        for (window, amount) in std::mem::take(&mut known.reserved) {
            *self.spent.entry(window).or_default() += spent(amount);
        }
    }

    /// What becomes of a call; true when a budget refuses it.
    fn ask(&mut self, name: Name, how: How, now: openclaw_core::Timestamp) -> bool {
        let at = self.effects.get(&name).map(|known| known.at);
        let again = match at {
            Some(At::Over) => return false,
            // What may happen once at most is parked.
            Some(At::Doubt) if SKILLS[name.1].2 == Effect::AtMostOnce => return false,
            Some(At::Doubt) => true,
            Some(At::Claimed) | None if !self.reserve(name, now) => return true,
            Some(At::Claimed) | None => false,
        };
        match how {
            How::Whole(Does::Ok(said)) => self.settle(name, At::Over, |all| said.unwrap_or(all)),
            How::Whole(Does::NotNow | Does::Never) | How::DiesClaimed if again => {}
            How::Whole(Does::NotNow) => self.settle(name, At::Claimed, |_| 0),
            How::Whole(Does::Never) => self.settle(name, At::Over, |_| 0),
            How::DiesClaimed => {}
            How::Whole(Does::Lost) | How::DiesSent => {
                self.effects.get_mut(&name).unwrap().at = At::Doubt;
            }
        }
        false
    }

    fn decide(&mut self, name: Name, happened: bool) -> bool {
        let doubt = self.effects.get(&name).is_some_and(|known| known.at == At::Doubt);
        if doubt && happened {
            self.settle(name, At::Over, |all| all);
        } else if doubt {
            self.settle(name, At::Claimed, |_| 0);
        }
        doubt
    }

    fn sweep(&mut self) {
        let names: Vec<Name> = self.effects.keys().copied().collect();
        for name in names {
            if self.effects[&name].at == At::Claimed {
                self.settle(name, At::Claimed, |_| 0);
            }
        }
    }

    /// What is spent and reserved in each window of a tenant.
    fn balances(&self, tenant: usize) -> Sums {
        let mut all = Sums::new();
        for (window, spent) in self.spent.iter().filter(|(window, _)| window.0 == tenant) {
            all.entry(window.clone()).or_default().0 += *spent as i64;
        }
        let reserved = self.effects.values().flat_map(|known| &known.reserved);
        for (window, amount) in reserved.filter(|(window, _)| window.0 == tenant) {
            all.entry(window.clone()).or_default().1 += *amount as i64;
        }
        all.retain(|_, sums| *sums != (0, 0));
        all
    }
}

fn asked(name: Name) -> Call<Payload> {
    let (skill, _, effect) = SKILLS[name.1];
    paid_by(payer(name), by(TENANTS[name.0], skill, &name.2.to_string(), effect))
}

async fn play(shop: &mut Shop, reference: &mut Reference, step: Step) {
    let now = shop.env.now();
    match step {
        Step::Ask(name, how) => {
            let refused = reference.ask(name, how, now);
            let call = asked(name);
            let stuck =
                service_fn(|_: Call<Payload>| std::future::pending::<Result<SkillAnswer>>());
            let ms = Duration::from_millis(1);
            let outcome = match how {
                How::Whole(does) => Some(shop.ask(call, does).await),
                How::DiesClaimed => timeout(ms, shop.layer.layer(stuck).oneshot(call)).await.ok(),
                How::DiesSent => {
                    let sent = shop.layer.layer(MarkLayer::new().layer(stuck));
                    timeout(ms, sent.oneshot(call)).await.ok()
                }
            };
            let told = outcome.as_ref().is_some_and(spent);
            assert_eq!(told, refused, "{step:?}: {outcome:?}");
            if !matches!(how, How::Whole(_)) {
                // Its lease runs out.
                sleep(3 * S).await;
            }
        }
        Step::Decide(name, happened) => {
            let decided = reference.decide(name, happened);
            let (call, answer) = (asked(name), happened.then(|| SkillAnswer::done(json!("seen"))));
            let (tenant, key) = (call.context().tenant(), call.key().unwrap());
            let outcome = shop.layer.decide(tenant, key, answer, "ada").await;
            assert_eq!(outcome.is_ok(), decided, "{step:?}: {outcome:?}");
        }
        Step::Wait(seconds) => sleep(seconds as u32 * S).await,
        Step::Restart => shop.restart(),
        Step::Sweep => {
            reference.sweep();
            for tenant in TENANTS {
                shop.layer.sweep(&of(tenant)).await.unwrap();
            }
        }
    }
}

/// The accounts, the records and the reference say the same.
async fn compare(shop: &Shop, reference: &Reference) {
    for (at, tenant) in TENANTS.into_iter().enumerate() {
        let window = |account: Account, until: openclaw_core::Timestamp| {
            let is = |(pattern, per, _, scope): &(&str, Period, u64, BudgetScope)| {
                **pattern == *account.skill
                    && *per == account.per
                    && *scope == account.holder.scope()
            };
            let limit = LIMITS.iter().position(is).unwrap();
            (at, limit, account.holder, until.as_millis())
        };
        let mut balances = Sums::new();
        for balance in shop.accounts(tenant).balances().await.unwrap() {
            assert!(balance.left.unwrap() >= 0, "{balance:?}");
            assert!(balance.spent >= 0 && balance.reserved >= 0, "{balance:?}");
            let sums = (balance.spent, balance.reserved);
            balances.insert(window(balance.account, balance.until), sums);
        }
        balances.retain(|_, sums| *sums != (0, 0));
        assert_eq!(balances, reference.balances(at), "the accounts of {tenant}");
        let mut records = Sums::new();
        for skill in 0..SKILLS.len() {
            for number in 0..4 {
                let call = asked((at, skill, number));
                let (tenant, key) = (call.context().tenant(), call.key().unwrap());
                let Some(record) = shop.layer.record(tenant, key).await.unwrap() else { continue };
                for share in record.costs {
                    let sums = records.entry(window(share.account, share.until)).or_default();
                    sums.0 += share.spent as i64;
                    sums.1 += share.reserved as i64;
                }
            }
        }
        records.retain(|_, sums| *sums != (0, 0));
        assert_eq!(records, balances, "the records of {tenant}");
    }
}

fn names() -> impl Strategy<Value = Name> {
    (0..TENANTS.len(), 0..SKILLS.len(), 0..4_u8)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let does = prop_oneof![
        4 => prop::option::of(0..=200_u64).prop_map(Does::Ok),
        1 => Just(Does::NotNow),
        1 => Just(Does::Never),
        2 => Just(Does::Lost),
    ];
    let how = prop_oneof![
        8 => does.prop_map(How::Whole),
        1 => Just(How::DiesClaimed),
        1 => Just(How::DiesSent),
    ];
    let step = prop_oneof![
        10 => (names(), how).prop_map(|(name, how)| Step::Ask(name, how)),
        2 => (names(), any::<bool>()).prop_map(|(name, happened)| Step::Decide(name, happened)),
        2 => (1..70_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn accounts_are_what_the_records_and_a_plain_reference_say(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let limits = LIMITS.map(|(skill, per, most, scope)| {
                BudgetLimit::new(USD, per, most).of(skill).each(scope)
            });
            let costs = SKILLS.map(|(skill, amount, _)| BudgetCost::new(USD, amount).of(skill));
            let mut shop = Shop::new(BudgetConfig::new(costs, limits));
            let mut reference = Reference::default();
            for step in steps {
                play(&mut shop, &mut reference, step).await;
                compare(&shop, &reference).await;
            }
            let notes = Key::of(&of("acme"), "bn").prefix();
            for (_, entry) in shop.rows.scan_all(notes).await.unwrap() {
                assert_eq!(entry.value[0], 1, "the format of a note");
            }
        });
    }
}
