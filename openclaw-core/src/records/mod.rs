//! What the gateway keeps, written once over any [`StateStore`](crate::store::StateStore).
//!
//! Every record starts with a format number; a program that meets a newer one says so instead of
//! guessing. Data rows name their tenant first.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod budgets;
pub(crate) mod claims;
pub(crate) mod commit;
pub(crate) mod dead_letters;
pub(crate) mod inbox;
pub(crate) mod inventory;
pub(crate) mod jobs;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod outbox;
pub(crate) mod partitions;
pub(crate) mod pins;
pub(crate) mod relay;
pub(crate) mod replicas;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod rollouts;
pub(crate) mod row;
pub(crate) mod seen;
pub(crate) mod sessions;

pub use self::{
    approvals::{Approval, ApprovalState, Approvals, Asked, Vote},
    audit::{Anchor, AuditAction, AuditEntry, AuditLog, AuditReport},
    budgets::{
        Account, Accounts, Balance, BudgetConfig, BudgetCost, BudgetLimit, BudgetScope, Budgets,
        Holder, Period, Share, Spending, Window,
    },
    dead_letters::{DeadLetter, DeadLetters, ParkedLetter},
    inventory::{Counts, Inventory},
    ledger::{EffectRecord, EffectState, Event, IllegalEvent, Ledger, Plan, plan},
    pins::{Drift, Held, MAX_FILES, Pins, Sheet, Standing},
    restore::{Aside, Restore, RestoreError, Restored, Unfinished},
    retention::{Retention, Swept},
    rollouts::{Canary, EVERYBODY, Rollout, RolloutStep, Rollouts, Stage},
};
