//! The bounds of every setting.

use std::time::Duration;

use super::{
    Span, Switch,
    layer::breaker_config,
    settings::{BreakerSettings, ConcurrencySettings, RateSettings, RetrySettings, Settings},
};

/// Where a setting is out of bounds, and why.
type Wrong = (&'static str, &'static str);

/// The longest duration that may be set: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Checks whole settings; where two of them conflict, the one that is `written` here is named.
pub(super) fn check(settings: &Settings, written: &Settings) -> Result<(), Wrong> {
    let on = |span: &Option<Switch<Span>>| part(span).copied();
    positive("total_timeout", on(&settings.total_timeout))?;
    positive("attempt_timeout", on(&settings.attempt_timeout))?;
    part(&settings.retry).map_or(Ok(()), |all| retry(all, part(&written.retry)))?;
    part(&settings.rate_limit).map_or(Ok(()), rate)?;
    part(&settings.concurrency)
        .map_or(Ok(()), |all| concurrency(all, part(&written.concurrency)))?;
    part(&settings.breaker).map_or(Ok(()), breaker)
}

/// The settings of a part that is not off.
fn part<T>(part: &Option<Switch<T>>) -> Option<&T> {
    part.as_ref().and_then(Switch::on)
}

fn retry(retry: &RetrySettings, written: Option<&RetrySettings>) -> Result<(), Wrong> {
    at_least_one("retry.attempts", retry.attempts)?;
    longest("retry.base", retry.base)?;
    longest("retry.cap", retry.cap)?;
    if retry.factor.is_some_and(|factor| !(1.0..=1_000.0).contains(&factor)) {
        return Err(("retry.factor", "it is between 1 and 1000"));
    }
    if let (Some(base), Some(cap)) = (retry.base, retry.cap)
        && base > cap
    {
        let own = |field: fn(&RetrySettings) -> Option<Span>| written.and_then(field).is_some();
        return Err(match (own(|retry| retry.base), own(|retry| retry.cap)) {
            (true, false) => ("retry.base", "it is at most retry.cap, which is inherited"),
            (false, true) => ("retry.cap", "it is at least retry.base, which is inherited"),
            _ => ("retry.base", "it is at most the cap"),
        });
    }
    Ok(())
}

fn rate(rate: &RateSettings) -> Result<(), Wrong> {
    if rate.calls.is_none() {
        return Err(("rate_limit.calls", "it has to be set"));
    }
    if rate.per.is_none() {
        return Err(("rate_limit.per", "it has to be set"));
    }
    at_least_one("rate_limit.calls", rate.calls)?;
    at_least_one("rate_limit.burst", rate.burst)?;
    positive("rate_limit.per", rate.per)?;
    longest("rate_limit.max_wait", rate.max_wait)?;
    at_least_one("rate_limit.keys", rate.keys)
}

fn concurrency(
    concurrency: &ConcurrencySettings,
    written: Option<&ConcurrencySettings>,
) -> Result<(), Wrong> {
    at_least_one("concurrency.limit", concurrency.limit)?;
    at_least_one("concurrency.adaptive_from", concurrency.adaptive_from)?;
    longest("concurrency.max_wait", concurrency.max_wait)?;
    let (limit, from) = (concurrency.limit, concurrency.adaptive_from);
    if limit.is_none_or(|limit| from.is_none_or(|from| from <= limit)) {
        return Ok(());
    }
    let own = |field: fn(&ConcurrencySettings) -> Option<usize>| written.and_then(field).is_some();
    Err(match (own(|c| c.adaptive_from), own(|c| c.limit)) {
        (true, false) => {
            let why = "it is at most concurrency.limit, which is inherited";
            ("concurrency.adaptive_from", why)
        }
        (false, true) => {
            let why = "it is at least concurrency.adaptive_from, which is inherited";
            ("concurrency.limit", why)
        }
        _ => ("concurrency.adaptive_from", "it is at most the limit"),
    })
}

fn breaker(breaker: &BreakerSettings) -> Result<(), Wrong> {
    part_of_one("breaker.failure_rate", breaker.failure_rate)?;
    part_of_one("breaker.slow_call_rate", breaker.slow_call_rate)?;
    at_least_one("breaker.window_calls", breaker.window_calls)?;
    at_least_one("breaker.minimum_calls", breaker.minimum_calls)?;
    at_least_one("breaker.half_open_calls", breaker.half_open_calls)?;
    positive("breaker.window_time", breaker.window_time)?;
    positive("breaker.slow_call", breaker.slow_call)?;
    positive("breaker.open_wait", breaker.open_wait)?;
    positive("breaker.max_open_wait", breaker.max_open_wait)?;
    if breaker.window_calls.is_some() && breaker.window_time.is_some() {
        return Err((
            "breaker.window_time",
            "a window is counted in calls or in time, not in both",
        ));
    }
    let rates = breaker.window_calls.is_some() || breaker.window_time.is_some();
    if breaker.consecutive_failures == Some(0) && !rates {
        return Err(("breaker.consecutive_failures", "without a window nothing would open it"));
    }
    // Whatever the breaker itself refuses: it would go on with its old settings.
    breaker_config(breaker).bounds().map_err(|(at, why)| (setting(breaker, at), why))
}

/// The setting that a field of the breaker's own configuration comes from.
fn setting(breaker: &BreakerSettings, field: &str) -> &'static str {
    match field {
        "window" if breaker.window_calls.is_some() => "breaker.window_calls",
        "window" => "breaker.window_time",
        "failure_rate" => "breaker.failure_rate",
        "slow_call_duration" => "breaker.slow_call",
        "slow_call_rate" => "breaker.slow_call_rate",
        "consecutive_failures" => "breaker.consecutive_failures",
        "minimum_calls" => "breaker.minimum_calls",
        "open_wait" => "breaker.open_wait",
        "max_open_wait" => "breaker.max_open_wait",
        "half_open_permits" => "breaker.half_open_calls",
        _ => "breaker",
    }
}

fn positive(at: &'static str, span: Option<Span>) -> Result<(), Wrong> {
    if span.is_some_and(|span| Duration::from(span).is_zero()) {
        return Err((at, "it is longer than zero"));
    }
    longest(at, span)
}

fn longest(at: &'static str, span: Option<Span>) -> Result<(), Wrong> {
    if span.is_some_and(|span| Duration::from(span) > LONGEST) {
        return Err((at, "it is at most a year"));
    }
    Ok(())
}

fn at_least_one<N: Default + PartialEq>(at: &'static str, n: Option<N>) -> Result<(), Wrong> {
    if n.is_some_and(|n| n == N::default()) {
        return Err((at, "it is at least 1"));
    }
    Ok(())
}

fn part_of_one(at: &'static str, rate: Option<f64>) -> Result<(), Wrong> {
    if rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1.0)) {
        return Err((at, "it is above 0 and at most 1"));
    }
    Ok(())
}
