//! Budgets as data: what a call costs, and how much may be spent.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{BudgetScope, Period};
use crate::{AgentId, Error, ErrorKind, Limits, Result, TenantId, words::json};

/// The largest amount that is configured, reported or adjusted at once.
pub(super) const MOST: u64 = 1 << 50;
/// The longest name of a unit, and the longest pattern of skills.
const NAME: usize = 128;
/// The names of a unit and of skills together, where the holder's is beside them in a row's key.
const NAMES: usize = 128;
/// Limits that may count one call.
const AT_ONCE: usize = 16;

/// What calls cost, and how much each tenant may spend.
///
/// An amount is a whole number of a unit that the host names: calls, tokens, micro-dollars.
///
/// * A **cost** is what a call is expected to cost, as much of it as it can. It is reserved before
///   the call. The longest pattern that fits a skill counts; a unit without one costs nothing.
/// * A **limit** is how much may be spent in a period: by each tenant for itself, or by the
///   tenant it names, in place of the same one for each. Its pattern says which skills it counts,
///   all of them together. A call counts in every limit that it fits: that of its skill, that of
///   a family `shop.*`, that of its tenant.
/// * A limit's **scope** says for whom it counts: for the tenant, or for each agent, session
///   (conversation) or run (turn) of the tenant for itself. A limit may name its agent, in place of
///   the same one for each; one of the tenant's own comes before it. `ever` is for good: for a run
///   that is all of it, a session has no such limit.
///
/// An unknown field is refused, with its path.
///
/// ```
/// use openclaw_core::records::BudgetConfig;
///
/// let config = BudgetConfig::from_json(r#"{
///     "costs": [
///         { "unit": "calls", "amount": 1 },
///         { "unit": "micro_usd", "skill": "shop.*", "amount": 20000 }
///     ],
///     "limits": [
///         { "unit": "calls", "per": "minute", "most": 100 },
///         { "unit": "micro_usd", "skill": "shop.*", "per": "day", "most": 5000000 },
///         { "unit": "micro_usd", "per": "month", "most": 90000000, "tenant": "acme" },
///         { "unit": "micro_usd", "per": "day", "most": 500000, "scope": "session" },
///         { "unit": "micro_usd", "per": "hour", "most": 2000000, "scope": "agent", "agent": "clerk" },
///         { "unit": "calls", "per": "ever", "most": 20, "scope": "run" }
///     ]
/// }"#)?;
/// assert_eq!(config.limits.len(), 6);
///
/// let e = BudgetConfig::from_json(r#"{ "limits": [{ "unit": "calls", "per": "day", "max": 1 }] }"#);
/// assert!(e.unwrap_err().to_string().contains("limits[0].max"));
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BudgetConfig {
    /// What calls are expected to cost.
    pub costs: Vec<BudgetCost>,
    /// How much may be spent.
    pub limits: Vec<BudgetLimit>,
}

/// What a call of some skills is expected to cost, in one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BudgetCost {
    /// The unit, by a name of the host's: 1 to 128 visible ASCII characters.
    pub unit: Arc<str>,
    /// The skill: its id, the beginning of one and `*`, or `*` for all. All.
    #[serde(default = "all")]
    pub skill: Arc<str>,
    /// How many of it, at most 2^50; 0 says that it is free, and not counted.
    pub amount: u64,
}

/// How much may be spent in one unit and period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BudgetLimit {
    /// The unit.
    pub unit: Arc<str>,
    /// Whose limit it is; each tenant's for itself when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub tenant: Option<TenantId>,
    /// For whom it counts, within the tenant. The tenant.
    #[serde(default, skip_serializing_if = "is_tenant")]
    pub scope: BudgetScope,
    /// The agent whose limit it is; with the scope `agent` only. Each agent's for itself when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub agent: Option<AgentId>,
    /// The skills that it counts together: an id, the beginning of one and `*`, or `*`. All.
    #[serde(default = "all")]
    pub skill: Arc<str>,
    /// When it begins anew.
    pub per: Period,
    /// How many of it, at most 2^50.
    pub most: u64,
}

/// What limits have in common that bound the same account, each for other holders.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line<'a>(&'a str, &'a str, Period, BudgetScope);

impl<'a> Line<'a> {
    pub(super) fn of(limit: &'a BudgetLimit) -> Self {
        Self(&limit.unit, &limit.skill, limit.per, limit.scope)
    }
}

fn all() -> Arc<str> {
    "*".into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_tenant(scope: &BudgetScope) -> bool {
    *scope == BudgetScope::Tenant
}

impl BudgetCost {
    /// What a call of any skill costs in this unit.
    #[must_use]
    pub fn new(unit: impl Into<Arc<str>>, amount: u64) -> Self {
        Self { unit: unit.into(), skill: all(), amount }
    }

    /// Says it of these skills only.
    #[must_use]
    pub fn of(mut self, skill: impl Into<Arc<str>>) -> Self {
        self.skill = skill.into();
        self
    }
}

impl BudgetLimit {
    /// How much each tenant may spend of this unit.
    #[must_use]
    pub fn new(unit: impl Into<Arc<str>>, per: Period, most: u64) -> Self {
        let (scope, agent) = (BudgetScope::Tenant, None);
        Self { unit: unit.into(), tenant: None, scope, agent, skill: all(), per, most }
    }

    /// Counts these skills only.
    #[must_use]
    pub fn of(mut self, skill: impl Into<Arc<str>>) -> Self {
        self.skill = skill.into();
        self
    }

    /// Makes it the limit of this tenant only.
    #[must_use]
    pub fn for_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Counts for each of these for itself.
    #[must_use]
    pub const fn each(mut self, scope: BudgetScope) -> Self {
        self.scope = scope;
        self
    }

    /// Makes it the limit of this agent only.
    #[must_use]
    pub fn for_agent(mut self, agent: AgentId) -> Self {
        (self.scope, self.agent) = (BudgetScope::Agent, Some(agent));
        self
    }
}

impl BudgetConfig {
    /// These costs and limits.
    #[must_use]
    pub fn new(
        costs: impl IntoIterator<Item = BudgetCost>,
        limits: impl IntoIterator<Item = BudgetLimit>,
    ) -> Self {
        Self { costs: costs.into_iter().collect(), limits: limits.into_iter().collect() }
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be read, or of a value out of bounds.
    pub fn from_json(text: &str) -> Result<Self> {
        let broken = |e: json::JsonError| unreadable(&e.pointer, &e.reason);
        let value = json::parse(text.as_bytes(), &Limits::default()).map_err(broken)?;
        if !value.is_object() {
            // Serde would take a list for it, too.
            return Err(unreadable(".", "it is not an object"));
        }
        let config: Self = serde_path_to_error::deserialize(&value)
            .map_err(|e| unreadable(&e.path().to_string(), &e.inner().to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The JSON Schema (2020-12) of the configuration.
    ///
    /// ```
    /// use openclaw_core::records::BudgetConfig;
    ///
    /// let schema = BudgetConfig::schema();
    /// assert_eq!(schema["properties"]["limits"]["type"], "array");
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Looks at every cost and limit.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of the first one that is out of bounds, or said twice, or
    /// that nothing costs; and of a limit that would be the seventeenth for one call.
    pub fn check(&self) -> Result<()> {
        let mut known = BTreeSet::new();
        for (at, BudgetCost { unit, skill, amount }) in self.costs.iter().enumerate() {
            let at = |field| format!("costs[{at}].{field}");
            name(unit, || at("unit"))?;
            pattern(skill, || at("skill"))?;
            bounded(*amount, || at("amount"))?;
            unique(known.insert((unit, skill)), || at("skill"))?;
        }
        let mut known = BTreeSet::new();
        for (n, limit) in self.limits.iter().enumerate() {
            let BudgetLimit { tenant, agent, .. } = limit;
            let at = |field| format!("limits[{n}].{field}");
            limit.check(at)?;
            unique(known.insert((Line::of(limit), tenant.as_ref(), agent.as_ref())), || {
                at("skill")
            })?;
            if !self.costs.iter().any(|cost| cost.unit == limit.unit) {
                return Err(wrong(&at("unit"), "no cost has this unit"));
            }
            if self.beside(limit) > AT_ONCE {
                return Err(wrong(&at("skill"), "more than 16 limits count the same call"));
            }
        }
        Ok(())
    }

    /// How many limits count the calls that this one counts, at most.
    fn beside(&self, limit: &BudgetLimit) -> usize {
        let whose = |other: &&BudgetLimit| other.tenant.is_none() || other.tenant == limit.tenant;
        let inside = |other: &&BudgetLimit| {
            let narrow = limit.skill.strip_suffix('*').unwrap_or(&limit.skill);
            other.skill == limit.skill || (other.skill.ends_with('*') && fits(&other.skill, narrow))
        };
        let lines = self.limits.iter().filter(whose).filter(inside).map(Line::of);
        lines.collect::<BTreeSet<_>>().len()
    }
}

impl BudgetLimit {
    /// Looks at it alone; `at` is the path of a field.
    fn check(&self, at: impl Fn(&'static str) -> String) -> Result<()> {
        let Self { unit, scope, agent, skill, per, most, .. } = self;
        name(unit, || at("unit"))?;
        pattern(skill, || at("skill"))?;
        bounded(*most, || at("most"))?;
        if agent.is_some() && *scope != BudgetScope::Agent {
            return Err(wrong(&at("agent"), "only a limit of the scope agent names one"));
        }
        if *scope == BudgetScope::Session && *per == Period::Ever {
            let why = "a session may go on for good: its limit begins anew some time";
            return Err(wrong(&at("per"), why));
        }
        if *scope != BudgetScope::Tenant && unit.len() + skill.len() > NAMES {
            let why = "below a tenant, unit and skill have at most 128 bytes together";
            return Err(wrong(&at("unit"), why));
        }
        Ok(())
    }
}

/// Does a pattern fit this skill?
pub(super) fn fits(pattern: &str, skill: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => skill.starts_with(begin),
        None => pattern == skill,
    }
}

fn name(text: &str, at: impl FnOnce() -> String) -> Result<()> {
    let fine = |c: char| c.is_ascii_graphic();
    if text.is_empty() || text.len() > NAME || !text.chars().all(fine) {
        return Err(wrong(&at(), "a name has 1 to 128 visible ASCII characters"));
    }
    Ok(())
}

fn pattern(text: &str, at: impl Fn() -> String) -> Result<()> {
    name(text, &at)?;
    if text.strip_suffix('*').unwrap_or(text).contains('*') {
        return Err(wrong(&at(), "a pattern has one * at most, at its end"));
    }
    Ok(())
}

fn bounded(amount: u64, at: impl FnOnce() -> String) -> Result<()> {
    if amount > MOST {
        return Err(wrong(&at(), "an amount is at most 2^50"));
    }
    Ok(())
}

fn unique(new: bool, at: impl FnOnce() -> String) -> Result<()> {
    if new { Ok(()) } else { Err(wrong(&at(), "the same is said twice")) }
}

fn wrong(at: &str, why: &str) -> Error {
    Error::new(ErrorKind::ValidationError, format!("{at}: {why}")).with("at", at)
}

fn unreadable(path: &str, why: &str) -> Error {
    let message = format!("the budgets can't be read at {path}: {why}");
    Error::new(ErrorKind::ValidationError, message).with("at", path)
}
