//! `cargo bench --bench skills`: what it costs to guard a skill, and to find the version of one.
//!
//! Times are processor time of the calling thread, the fastest of many rounds; allocations are
//! counted. The guarded calls are those of an agent in a whole gateway on the memory store.
//! `-- --quick` is a short run, for a look. It ends with an error when a gate does not hold.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

#[path = "../middleware/drive.rs"]
#[allow(dead_code, reason = "the bench of the layers needs more of it")]
mod drive;
#[path = "../middleware/flags.rs"]
mod flags;
mod guarded;
mod report;
mod shelf;

use std::{hint::black_box, process::ExitCode, sync::Arc};

use openclaw_benches::Outcome;
use openclaw_core::{
    Call, Context, Effect, SkillId, TenantId,
    rules::{Ask, Authorizer as _, Decision, Rules},
    skill::{RouteKey, Skill, SkillManifest, SkillSource},
};
use openclaw_skills::{Schemas, registry::Range};
use serde_json::json;

use self::{
    drive::{Beside, Effort, finish, measure, measure_beside, pin_to},
    flags::Flags,
    report::Rows,
};

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    match run(flags) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Outcome<Vec<String>> {
    pin_to(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let rounds = if flags.quick { 10 } else { 60 };
    let effort = Effort { rounds, calls: 5_000 };
    let mut rows = Rows::default();
    let inside = runtime.enter();
    typed(&mut rows, effort)?;
    validation(&mut rows, effort)?;
    resolve(&mut rows, effort, &runtime)?;
    policy(&mut rows, effort)?;
    drop(inside);
    // Each recorded call leaves a row: fewer, so that the store stays what it is in use.
    let recorded = Effort { rounds: rounds.min(20), calls: 500 };
    for (name, cost) in runtime.block_on(guarded::costs(effort, recorded))? {
        rows.add(name, cost);
    }
    println!("fastest of {rounds} rounds; {} versions in the registry\n", shelf::VERSIONS);
    rows.table();
    let problems = rows.problems();
    for problem in &problems {
        println!("PROBLEM {problem}");
    }
    println!("{}", rows.json());
    Ok(problems)
}

/// The function alone, and as a typed skill: schema in, serde, the function, serde, schema out.
fn typed(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    let skill = shelf::place(Effect::Pure, "1.0.0")?;
    let context = Context::new(TenantId::new("acme")?);
    let input = Arc::new(shelf::input());
    let cx = openclaw_skills::SkillCx::of(&Call::skill(
        context.clone(),
        skill.manifest(),
        Arc::clone(&input),
    ));
    let Beside { costs: [bare, typed], .. } = measure_beside(
        effort,
        || {
            let order = shelf::order();
            assert!(black_box(finish(shelf::total(cx.clone(), order))).is_ok(), "it can't fail");
        },
        || {
            let call = Call::skill(context.clone(), skill.manifest(), Arc::clone(&input));
            assert!(black_box(finish(skill.run(call))).is_ok(), "it can't fail");
        },
    );
    rows.add("bare_function", bare);
    rows.add("typed_skill", typed);
    Ok(())
}

fn validation(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    let skill = shelf::place(Effect::Pure, "1.0.0")?;
    let SkillManifest { input: Some(schema), .. } = skill.manifest() else {
        return Err("a typed skill has a schema".into());
    };
    let schema = Schemas::new().compile(schema)?;
    let (right, wrong) = (shelf::input(), shelf::wrong_input());
    rows.add(
        "validate",
        measure(effort, || assert!(black_box(schema.validate(&right)).is_ok(), "it fits")),
    );
    rows.add(
        "validate_refused",
        measure(effort, || assert!(black_box(schema.validate(&wrong)).is_err(), "it does not")),
    );
    Ok(())
}

fn resolve(rows: &mut Rows, effort: Effort, runtime: &tokio::runtime::Runtime) -> Outcome<()> {
    let (registry, ids) = shelf::registry()?;
    let routes = shelf::routes();
    let pairs: Vec<_> = ids.iter().cycle().step_by(37).zip(&routes).collect();
    let mut pairs = pairs.iter().cycle();
    let mut find = |find: &dyn Fn(&SkillId, &RouteKey) -> bool| {
        assert!(pairs.next().is_some_and(|(id, route)| find(id, route)), "it is there");
    };
    let range: Range = "^1.2".parse()?;
    let resolve =
        |id: &SkillId, route: &RouteKey| black_box(registry.resolve(id, &range, route)).is_ok();
    rows.add("resolve_10k", measure(effort, || find(&resolve)));
    let by_text =
        |id: &SkillId, route: &RouteKey| black_box(registry.find(id, Some("^1.2"), route)).is_ok();
    rows.add("resolve_10k_text", measure(effort, || find(&by_text)));
    for id in &ids {
        runtime.block_on(registry.canary(id, shelf::CANARY, 5_000, "bench"))?;
    }
    rows.add("resolve_10k_canary", measure(effort, || find(&resolve)));
    Ok(())
}

/// Rules for as many skills, and one of them that looks at an argument.
fn policy(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    const RULES: usize = 1_000;
    let rule = |n: usize| {
        let when = json!({ "skills": [format!("shop{n}.*")], "arguments": { "/qty": { "at_most": 100 } } });
        json!({ "name": format!("rule {n}"), "when": when, "then": "allow" })
    };
    let all: Vec<_> = (0..RULES).map(rule).collect();
    let rules = Rules::from_json(&json!({ "rules": all }).to_string())?;
    let context = Context::new(TenantId::new("acme")?);
    let manifest = SkillManifest::new(SkillId::new("shop500.order")?, "1.0.0");
    let (few, many) = (json!({ "qty": 7 }), json!({ "qty": 700 }));
    let decide = |input| rules.decide(&Ask::new(&context, &manifest, input));
    let allowed = measure(effort, || assert_eq!(black_box(decide(&few)), Decision::Allow));
    rows.add("policy_1k_rules", allowed);
    let refused =
        measure(effort, || assert!(matches!(black_box(decide(&many)), Decision::Deny(_))));
    rows.add("policy_1k_refused", refused);
    Ok(())
}
