//! The retry budget: how many retries a failing remote is worth.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A token, in the unit of the atomic.
const TOKEN: u64 = 1_000;
/// What a success gives back: 0.2 tokens.
const DEPOSIT: u64 = TOKEN / 5;
/// What a retry costs when the other side was only busy: half a token.
const THROTTLED: u64 = TOKEN / 2;

/// Tokens for retries, shared by everybody who retries the same remote.
///
/// A retry takes one token, behind throttling half of one; a success gives back 0.2, up to the
/// most. When it is empty nobody retries, so that a remote that is down gets no storm. It is one
/// atomic, and a success on a full budget only reads it. After gRPC's proposal A6 ("retry
/// throttling"); cheaper throttled retries as in the AWS SDKs' standard mode.
///
/// ```
/// use openclaw_core::middleware::Budget;
///
/// let budget = Budget::new(2);
/// assert!(budget.withdraw(false) && budget.withdraw(false));
/// assert!(!budget.withdraw(false), "it is empty");
/// (0..5).for_each(|_| budget.deposit());
/// assert!(budget.withdraw(false));
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicU64,
    most: AtomicU64,
}

impl Budget {
    /// A full budget of this many tokens.
    #[must_use]
    pub fn new(tokens: u32) -> Self {
        let most = u64::from(tokens) * TOKEN;
        Self(Arc::new(Inner { left: AtomicU64::new(most), most: AtomicU64::new(most) }))
    }

    /// The tokens that are left.
    #[must_use]
    pub fn left(&self) -> f64 {
        let left = self.0.left.load(Ordering::Relaxed);
        let [whole, part] =
            [left / TOKEN, left % TOKEN].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        f64::from(whole) + f64::from(part) / 1_000.0
    }

    /// Changes the most; what is left stays, as far as it fits.
    pub fn set_most(&self, tokens: u32) {
        let most = u64::from(tokens) * TOKEN;
        self.0.most.store(most, Ordering::Relaxed);
        self.0.left.fetch_min(most, Ordering::Relaxed);
    }

    /// A call went well.
    #[inline]
    pub fn deposit(&self) {
        let most = self.0.most.load(Ordering::Relaxed);
        if self.0.left.load(Ordering::Relaxed) < most {
            let more = |left: u64| (left < most).then(|| (left + DEPOSIT).min(most));
            // Nobody minds when it is full by now.
            self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
        }
    }

    /// Takes the price of one retry; false when there is too little.
    #[must_use]
    pub fn withdraw(&self, throttled: bool) -> bool {
        let price = if throttled { THROTTLED } else { TOKEN };
        let less = |left: u64| left.checked_sub(price);
        self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Default for Budget {
    /// A hundred tokens.
    fn default() -> Self {
        Self::new(100)
    }
}
