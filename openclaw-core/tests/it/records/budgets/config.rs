//! The configuration: what is read, what counts, and what is refused by its path.

use super::*;

fn refused(json: &str) -> String {
    let e = BudgetConfig::from_json(json).expect_err("it is wrong");
    assert_eq!(e.kind(), ErrorKind::ValidationError);
    e.message().to_owned()
}

/// A configuration whose only limit is this, and what else it needs.
fn limited(more: &str) -> String {
    let per = if more.contains("\"per\"") { "" } else { r#""per": "day", "# };
    let limit = format!(r#"{{ "unit": "calls", {per}"most": 1, {more} }}"#);
    format!(r#"{{ "costs": [{{ "unit": "calls", "amount": 1 }}], "limits": [{limit}] }}"#)
}

#[test]
fn what_can_not_be_read_is_named_by_its_path() {
    let cost = r#""costs": [{ "unit": "calls", "amount": 1 }]"#;
    let cases = [
        (r#"{"cost": []}"#.to_owned(), "cost"),
        (r#"{"costs": [{"unit": "calls", "amount": -1}]}"#.to_owned(), "costs[0].amount"),
        (r#"{"costs": [{"unit": "calls", "amount": 1, "skil": "a"}]}"#.to_owned(), "costs[0].skil"),
        (r#"{"costs": [{"unit": "", "amount": 1}]}"#.to_owned(), "costs[0].unit"),
        (
            r#"{"costs": [{"unit": "calls", "amount": 1125899906842625}]}"#.to_owned(),
            "costs[0].amount",
        ),
        (
            r#"{"costs": [{"unit": "calls", "amount": 1, "skill": "*.a"}]}"#.to_owned(),
            "costs[0].skill",
        ),
        (
            format!(r#"{{{cost}, "limits": [{{"unit": "usd", "per": "day", "most": 1}}]}}"#),
            "limits[0].unit",
        ),
        (
            format!(r#"{{{cost}, "limits": [{{"unit": "calls", "per": "week", "most": 1}}]}}"#),
            "limits[0].per",
        ),
        (format!(r#"{{{cost}, "limits": [{{"unit": "calls", "per": "day"}}]}}"#), "limits[0]"),
        (
            format!(
                r#"{{{cost}, "limits": [{{"unit": "calls", "per": "day", "most": 1, "max": 2}}]}}"#
            ),
            "limits[0].max",
        ),
        (limited(r#""scope": "team""#), "limits[0].scope"),
        (limited(r#""scope": "agent", "agent": """#), "limits[0].agent"),
        (limited(r#""agent": "clerk""#), "limits[0].agent"),
        (limited(r#""scope": "run", "agent": "clerk""#), "limits[0].agent"),
        (limited(r#""scope": "session", "per": "ever""#), "limits[0].per"),
        (limited(&format!(r#""scope": "run", "skill": "{}""#, "a".repeat(124))), "limits[0].unit"),
    ];
    for (json, path) in cases {
        let message = refused(&json);
        assert!(message.contains(path), "{json}: {message}");
    }
    BudgetConfig::from_json(&limited(r#""scope": "run", "per": "ever""#)).unwrap();
    for broken in ["", "[]", "[[], []]", "null", r#"{"costs": {}}"#] {
        refused(broken);
    }
}

#[test]
fn the_same_is_not_said_twice() {
    let twice = [BudgetCost::new(USD, 1), BudgetCost::new(USD, 2)];
    assert!(BudgetConfig::new(twice, []).check().is_err());
    let limit = || BudgetLimit::new(USD, Period::Day, 1);
    let config = |limits: [BudgetLimit; 2]| BudgetConfig::new([BudgetCost::new(USD, 1)], limits);
    let e = config([limit(), limit()]).check().unwrap_err();
    assert!(e.message().starts_with("limits[1]"), "{e}");
    config([limit(), limit().for_tenant(of("acme"))]).check().unwrap();
    config([limit(), limit().of("shop.*")]).check().unwrap();
    config([limit(), limit().each(BudgetScope::Agent)]).check().unwrap();
    let clerk = || limit().for_agent(agent("clerk"));
    config([limit().each(BudgetScope::Agent), clerk()]).check().unwrap();
    config([clerk(), limit().for_agent(agent("night"))]).check().unwrap();
    assert!(config([clerk(), clerk()]).check().is_err());
}

#[test]
fn at_most_sixteen_limits_count_one_call() {
    let begin = "a".repeat(17);
    let limits = |n: usize| {
        let nested = (1..=n).map(|len| format!("{}*", &begin[..len]));
        let limits = nested.map(|skill| BudgetLimit::new(USD, Period::Day, 1).of(skill));
        BudgetConfig::new([BudgetCost::new(USD, 1)], limits)
    };
    limits(16).check().unwrap();
    let mut many = limits(15);
    let each = BudgetLimit::new(USD, Period::Day, 1).each(BudgetScope::Agent);
    let of = |n: u32| each.clone().for_agent(agent(&format!("a{n}")));
    many.limits.extend((0..9).map(of).chain([each.clone()]));
    many.check().unwrap();
    many.limits.push(BudgetLimit::new(USD, Period::Day, 1).each(BudgetScope::Run));
    assert!(many.check().is_err(), "one call meets all of them but the agents' of others");
    let e = limits(17).check().unwrap_err();
    assert!(e.message().starts_with("limits[16].skill"), "{e}");
}

#[test]
fn a_written_configuration_reads_back_the_same() {
    let config = BudgetConfig::new(
        [BudgetCost::new("calls", 1), BudgetCost::new(USD, 0).of("shop.free")],
        [
            BudgetLimit::new("calls", Period::Minute, 7).of("shop.*"),
            BudgetLimit::new(USD, Period::Ever, 9).for_tenant(of("acme")),
            BudgetLimit::new(USD, Period::Day, 5).each(BudgetScope::Session),
            BudgetLimit::new(USD, Period::Day, 3).for_agent(agent("clerk")),
        ],
    );
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(BudgetConfig::from_json(&written).unwrap(), config);
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_knows_every_field() {
    let schema = BudgetConfig::schema();
    let limit = BudgetLimit::new(USD, Period::Day, 1).for_tenant(of("acme"));
    let limit = limit.for_agent(agent("clerk"));
    let named = |value: &Value, of: &str| {
        let known = &schema["$defs"][of]["properties"];
        for field in value.as_object().unwrap().keys() {
            assert!(known[field].is_object(), "{of}.{field}: {schema}");
        }
        assert_eq!(schema["$defs"][of]["additionalProperties"], json!(false));
    };
    named(&serde_json::to_value(limit).unwrap(), "BudgetLimit");
    named(&serde_json::to_value(BudgetCost::new(USD, 1)).unwrap(), "BudgetCost");
    let words = schema.to_string();
    let names = BudgetScope::ALL.map(BudgetScope::name).into_iter();
    for word in names.chain(Period::ALL.map(Period::name)) {
        assert!(words.contains(&format!("\"{word}\"")), "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_pattern_says_what_a_call_costs() {
    let costs = [
        BudgetCost::new(USD, 1),
        BudgetCost::new(USD, 20).of("shop.*"),
        BudgetCost::new(USD, 300).of("shop.refund"),
        BudgetCost::new(USD, 0).of("shop.free"),
    ];
    let shop = Shop::new(BudgetConfig::new(costs, [BudgetLimit::new(USD, Period::Ever, 999)]));
    for (skill, all) in [("mail", 1), ("shop.buy", 21), ("shop.refund", 321), ("shop.free", 321)] {
        shop.ask(by("acme", skill, "1", Effect::AtMostOnce), Does::Ok(None)).await.unwrap();
        assert_eq!(shop.balance().await, (all, 0), "{skill}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_in_every_limit_above_it_or_in_none() {
    let limits = [
        BudgetLimit::new(USD, Period::Day, 10),
        BudgetLimit::new(USD, Period::Day, 4).of("shop.*"),
        BudgetLimit::new(USD, Period::Day, 2).of("shop.refund"),
    ];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 1)], limits));
    let mut made = Vec::new();
    for skill in ["shop.refund", "shop.buy", "mail"] {
        let mut n = 0;
        let asked = |n: u32| by("acme", skill, &n.to_string(), Effect::AtMostOnce);
        while shop.ask(asked(n), Does::Ok(None)).await.is_ok() {
            n += 1;
        }
        made.push(n);
    }
    assert_eq!(made, [2, 2, 6]);
    let left = |balance: &Balance| balance.limit.unwrap() as i64 - balance.spent;
    assert_eq!(shop.balances().await.iter().map(left).collect::<Vec<_>>(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_s_own_limit_stands_in_place_of_the_shared_one() {
    let limit = |most| BudgetLimit::new(USD, Period::Day, most);
    let limits = [limit(300), limit(600).for_tenant(of("acme"))];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 300)], limits));
    for (tenant, most) in [("acme", 2), ("globex", 1), ("initech", 1)] {
        let asked = |n: u32| by(tenant, "mail", &n.to_string(), Effect::AtMostOnce);
        for n in 0..most {
            shop.ask(asked(n), Does::Ok(None)).await.unwrap();
        }
        assert!(spent(&shop.ask(asked(most), Does::Ok(None)).await), "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_counts_what_was_spent_before() {
    let shop = Shop::of(Period::Day);
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    let config = |most| {
        let limits = [BudgetLimit::new(USD, Period::Day, most)];
        BudgetConfig::new([BudgetCost::new(USD, 300)], limits)
    };
    shop.budgets.reload(config(599)).unwrap();
    assert!(spent(&shop.ask(call("2"), Does::Ok(None)).await));
    shop.budgets
        .reload(BudgetConfig::new([], [BudgetLimit::new("x", Period::Day, 1)]))
        .unwrap_err();
    assert_eq!(shop.budgets.config(), config(599), "what is refused changes nothing");
    shop.budgets.reload(config(600)).unwrap();
    shop.ask(call("2"), Does::Ok(None)).await.unwrap();
    shop.budgets.reload(BudgetConfig::default()).unwrap();
    shop.ask(call("3"), Does::Ok(None)).await.unwrap();
    assert_eq!(shop.balance().await, (600, 0), "nothing bounds it any more");
}
