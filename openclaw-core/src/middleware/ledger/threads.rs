//! Calls under one key under every order of their threads that a scheduler comes up with.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll::{Pending, Ready},
};

use shuttle::{
    future::block_on,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use super::desk::{Desk, End, Found, Lead, Told};
use crate::{
    Call, Context, Error, ErrorKind, IdempotencyKey, MessageId, TenantId, Timestamp,
    middleware::checked::{Checked, Watched},
    skill::SkillManifest,
};

type Lone<'a> = Lead<'a, (), u64, Checked>;
type News = Arc<Told<Watched>>;

const CALLERS: usize = 3;
const NOW: Timestamp = Timestamp::from_millis(1_000);

/// How the call that goes first ends.
#[derive(Clone, Copy)]
enum How {
    Ends,
    Fails,
    IsDropped,
}

/// What became of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// It went first, as the n-th that did.
    First(u64),
    /// It heard the end that this one made.
    Heard(u64),
    /// It heard an error that is not for good.
    Failed,
    /// There was no room.
    Full,
    /// It gave up waiting.
    GaveUp,
}

/// Callers at one desk.
struct Scene {
    desk: Desk<(), u64, Checked>,
    /// How the n-th call that goes first ends.
    how: fn(u64) -> How,
    firsts: AtomicU64,
    /// Calls that go first right now.
    leading: AtomicUsize,
    /// How often those who waited heard nothing, and looked again.
    again: AtomicUsize,
    came: Mutex<Vec<Came>>,
}

fn call(key: u128) -> Call<()> {
    let manifest = SkillManifest::new("shop.refund".parse().unwrap(), "1.0.0");
    let context = Context::new(TenantId::new("acme").unwrap());
    let key = IdempotencyKey::of(MessageId::from_u128(key), "refund").unwrap();
    Call::skill(context, &manifest, Arc::default()).with_key(key).map(|_| ())
}

impl Scene {
    fn new(most: usize, how: fn(u64) -> How) -> Arc<Self> {
        Arc::new(Self {
            desk: Desk::new(most, 8),
            how,
            firsts: AtomicU64::new(0),
            leading: AtomicUsize::new(0),
            again: AtomicUsize::new(0),
            came: Mutex::new(Vec::new()),
        })
    }

    fn lead(&self, lead: Lone<'_>) -> Came {
        assert_eq!(self.leading.fetch_add(1, Ordering::SeqCst), 0, "another one goes first, too");
        let n = self.firsts.fetch_add(1, Ordering::SeqCst);
        self.leading.fetch_sub(1, Ordering::SeqCst);
        match (self.how)(n) {
            How::Ends => lead.ended(End::Done(n), Timestamp::MAX),
            How::Fails => lead.failed(&Error::new(ErrorKind::Unavailable, "not now")),
            How::IsDropped => drop(lead),
        }
        Came::First(n)
    }

    /// One caller, as a course through the ledger makes it.
    async fn ask(&self, key: u128) -> Came {
        let call = call(key);
        let id = self.desk.id(&call).unwrap();
        let mut heard: Option<News> = None;
        loop {
            match self.desk.enter(&id, &call, || NOW) {
                Found::Lead(lead) => return self.lead(lead),
                Found::Ended(end) => return Came::Heard(end.into_outcome().unwrap()),
                Found::Full => return Came::Full,
                Found::Reused => panic!("it is the same request"),
                Found::Join(told) => {
                    let over = heard.is_some_and(|before| Arc::ptr_eq(&before, &told));
                    assert!(!over, "it was told of an end that is still to come");
                    if told.heard().await.is_some() {
                        return Came::Failed;
                    }
                    self.again.fetch_add(1, Ordering::SeqCst);
                    heard = Some(told);
                }
            }
        }
    }

    /// A caller that is dropped as soon as it has to wait.
    async fn ask_in_haste(&self, key: u128) -> Came {
        let mut asking = pin!(self.ask(key));
        poll_fn(|cx| match asking.as_mut().poll(cx) {
            Pending => Ready(Came::GaveUp),
            ready @ Ready(_) => ready,
        })
        .await
    }

    fn start(self: &Arc<Self>, key: u128, hasty: bool) -> thread::JoinHandle<()> {
        let here = Arc::clone(self);
        thread::spawn(move || {
            let asking =
                async { if hasty { here.ask_in_haste(key).await } else { here.ask(key).await } };
            let came = block_on(asking);
            here.came.lock().unwrap().push(came);
        })
    }

    /// What became of the callers, once all are back.
    fn end(&self, callers: Vec<thread::JoinHandle<()>>) -> Vec<Came> {
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(self.desk.len().0, 0, "nothing is in flight");
        let mut came = self.came.lock().unwrap().clone();
        came.sort_unstable();
        came
    }

    /// As many callers as there are, under one key.
    fn play(self: &Arc<Self>) -> Vec<Came> {
        let callers = (0..CALLERS).map(|_| self.start(1, false)).collect();
        self.end(callers)
    }
}

/// Runs this under many schedules.
fn explore(scenario: fn()) {
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

#[test]
fn one_goes_first_and_everybody_hears_its_end() {
    explore(|| {
        let scene = Scene::new(8, |_| How::Ends);
        assert_eq!(scene.play(), [Came::First(0), Came::Heard(0), Came::Heard(0)]);
        assert_eq!(scene.desk.len(), (0, 1));
    });
}

#[test]
fn whoever_waited_hears_the_error() {
    explore(|| {
        let scene = Scene::new(8, |_| How::Fails);
        let came = scene.play();
        let firsts = scene.firsts.load(Ordering::SeqCst);
        let known = |came: &&Came| matches!(came, Came::First(_) | Came::Failed);
        assert_eq!(came.iter().filter(known).count(), CALLERS, "{came:?}");
        assert!(firsts >= 1 && came.contains(&Came::First(firsts - 1)), "{came:?}");
        assert_eq!(scene.again.load(Ordering::SeqCst), 0, "nobody was left without a word");
        assert_eq!(scene.desk.len(), (0, 0));
    });
}

#[test]
fn behind_one_that_is_dropped_exactly_one_other_goes_first() {
    explore(|| {
        let how = |n| if n == 0 { How::IsDropped } else { How::Ends };
        let scene = Scene::new(8, how);
        assert_eq!(scene.play(), [Came::First(0), Came::First(1), Came::Heard(1)]);
        assert_eq!(scene.desk.len(), (0, 1));
    });
}

#[test]
fn those_who_are_dropped_go_first_one_after_the_other() {
    explore(|| {
        let scene = Scene::new(8, |_| How::IsDropped);
        assert_eq!(scene.play(), [0, 1, 2].map(Came::First));
        assert_eq!(scene.desk.len(), (0, 0));
    });
}

#[test]
fn an_end_that_counts_no_more_is_made_anew_by_one() {
    explore(|| {
        let scene = Scene::new(8, |_| How::Ends);
        let call = call(1);
        let id = scene.desk.id(&call).unwrap();
        let Found::Lead(lead) = scene.desk.enter(&id, &call, || NOW) else { panic!("a new key") };
        lead.ended(End::Done(99), NOW);
        assert_eq!(scene.play(), [Came::First(0), Came::Heard(0), Came::Heard(0)]);
        assert_eq!(scene.desk.len(), (0, 1));
    });
}

#[test]
fn one_that_gives_up_waiting_takes_nobody_s_word_away() {
    explore(|| {
        let how = |n| if n == 0 { How::IsDropped } else { How::Ends };
        let scene = Scene::new(8, how);
        let callers = (0..CALLERS).map(|n| scene.start(1, n == 1)).collect();
        let came = scene.end(callers);
        let heard = [Came::First(0), Came::First(1), Came::Heard(1)];
        assert!(
            came == heard || came == [Came::First(0), Came::First(1), Came::GaveUp],
            "{came:?}"
        );
    });
}

#[test]
fn no_more_are_in_flight_than_there_is_room_for() {
    explore(|| {
        let scene = Scene::new(1, |n| if n == 0 { How::Fails } else { How::IsDropped });
        let callers = [1, 1, 2].map(|key| scene.start(key, false)).into();
        let came = scene.end(callers);
        assert!(came.contains(&Came::First(0)), "{came:?}");
        assert_eq!(scene.desk.len(), (0, 0));
    });
}
