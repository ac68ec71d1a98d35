//! What people ask for in a run.

use std::{fmt, sync::Arc, time::Duration};

use crate::env::SeededRng;

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $weight:literal;)*) => {
        /// What a message of the standard workload asks for. Its text is the verb and a number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Verb {
            $($(#[$doc])* $name,)*
        }

        impl Verb {
            /// Every verb there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the text.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How often it is said.
            const fn weight(self) -> u64 {
                match self { $(Self::$name => $weight,)* }
            }
        }
    };
}

verbs! {
    /// A reply and nothing else.
    Echo = "echo", 12;
    /// A reply of several parts.
    Long = "long", 6;
    /// Nothing to say.
    Silent = "silent", 4;
    /// A reply that is streamed first.
    Stream = "stream", 8;
    /// An effect at a remote that honours keys.
    Keyed = "keyed", 8;
    /// An effect that can be looked up.
    Reconcilable = "reconcilable", 8;
    /// An effect that must not happen twice.
    Once = "once", 8;
    /// An effect that may happen twice.
    Often = "often", 4;
    /// A read.
    Pure = "pure", 3;
    /// More skill calls than a turn may make.
    Greedy = "greedy", 2;
    /// Two effects in one turn.
    Double = "double", 6;
    /// A question to a person.
    Ask = "ask", 5;
    /// A job that ends some time.
    Job = "job", 4;
    /// An effect that a person approves first.
    Approve = "approve", 6;
    /// An effect under an approval that is not for it.
    Misuse = "misuse", 5;
    /// An effect that rules let happen once two people have said yes.
    Guarded = "guarded", 8;
    /// Run again, the agent asks with other arguments.
    Diverge = "diverge", 5;
    /// Run again, the agent does not ask any more.
    Forget = "forget", 4;
    /// The agent answers whatever became of its effect.
    MakeLight = "makelight", 4;
    /// The agent fails, always.
    Fail = "fail", 2;
    /// The agent panics, always.
    Panic = "panic", 1;
    /// The agent never answers.
    Hang = "hang", 1;
    /// The agent says that the request is invalid.
    Invalid = "invalid", 2;
    /// The agent fails once.
    Stumble = "stumble", 4;
    /// What the conversation remembers; said once in each when everything is over.
    Recall = "recall", 0;
}

impl Verb {
    /// The verb of a text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let word = text.split(' ').next()?;
        Self::ALL.iter().copied().find(|verb| verb.word() == word)
    }

    /// Does the agent never manage to answer it?
    pub(super) const fn is_hopeless(self) -> bool {
        matches!(self, Self::Fail | Self::Panic | Self::Hang | Self::Invalid)
    }

    fn draw(rng: &SeededRng, verbs: &[Self]) -> Option<Self> {
        let all: u64 = verbs.iter().map(|verb| verb.weight()).sum();
        let mut at = rng.below(all);
        verbs.iter().copied().find(|verb| {
            let here = at < verb.weight();
            at = at.saturating_sub(verb.weight());
            here
        })
    }
}

type Text = Arc<dyn Fn(&SeededRng, u32) -> String + Send + Sync>;

/// What is said in a run: how much, how fast, and what.
///
/// ```
/// use std::time::Duration;
/// use openclaw_testkit::sim::{Verb, Workload};
///
/// let busy = Workload::mix().messages(200).over(Duration::from_secs(30));
/// let simple = Workload::mix().messages(20).only([Verb::Echo, Verb::Once]);
/// let own = Workload::texts(|rng, n| format!("order {} please, request {n}", rng.below(10)));
/// # drop((busy, simple, own));
/// ```
#[derive(Clone)]
pub struct Workload {
    pub(super) messages: u32,
    pub(super) places: u64,
    pub(super) over: Duration,
    verbs: Vec<Verb>,
    text: Option<Text>,
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("messages", &self.messages)
            .field("places", &self.places)
            .field("over", &self.over)
            .field("verbs", &self.verbs)
            .finish_non_exhaustive()
    }
}

impl Workload {
    /// The standard workload: 110 messages in a minute, every [`Verb`], with a standard agent
    /// and standard skills that know what every answer has to be.
    #[must_use]
    pub fn mix() -> Self {
        Self {
            messages: 110,
            places: 3,
            over: Duration::from_secs(60),
            verbs: Verb::ALL.to_vec(),
            text: None,
        }
    }

    /// Messages with texts of your own, for agents of your own.
    #[must_use]
    pub fn texts(text: impl Fn(&SeededRng, u32) -> String + Send + Sync + 'static) -> Self {
        Self { text: Some(Arc::new(text)), ..Self::mix() }
    }

    /// So many messages.
    #[must_use]
    pub const fn messages(mut self, n: u32) -> Self {
        self.messages = n;
        self
    }

    /// So many conversations for each tenant on each channel. 3.
    #[must_use]
    pub const fn places(mut self, n: u64) -> Self {
        self.places = n;
        self
    }

    /// How long it takes people to say it all. A minute.
    #[must_use]
    pub const fn over(mut self, span: Duration) -> Self {
        self.over = span;
        self
    }

    /// Only these verbs.
    #[must_use]
    pub fn only(mut self, verbs: impl IntoIterator<Item = Verb>) -> Self {
        self.verbs = verbs.into_iter().collect();
        self
    }

    /// Are the texts the host's own?
    pub(super) const fn is_own(&self) -> bool {
        self.text.is_some()
    }

    /// The text of message `n`.
    pub(super) fn say(&self, rng: &SeededRng, n: u32) -> String {
        match &self.text {
            Some(text) => text(rng, n),
            None => {
                let verb = Verb::draw(rng, &self.verbs).unwrap_or(Verb::Echo);
                format!("{} {n}", verb.word())
            }
        }
    }
}
