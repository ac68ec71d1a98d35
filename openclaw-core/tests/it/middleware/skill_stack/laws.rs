//! A skill behind the stack is a skill: it keeps the laws of one.

use async_trait::async_trait;
use openclaw_core::{
    Call,
    channel::Reconcile,
    skill::{Skill, SkillManifest},
};
use openclaw_testkit::conformance::skill;

use super::*;

/// A skill that has the stack make its calls, each key as a run.
#[derive(Debug)]
struct Behind {
    stack: SkillStack,
    skill: RemoteSkill,
}

#[async_trait]
impl Skill for Behind {
    fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let run = call.key().map_or("", |key| key.as_str());
        let mut request = SkillRequest::new(self.manifest().id.clone(), "run", json!(null));
        request.input = Arc::clone(call.payload());
        self.stack.run(run).call(call.context(), request).await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        None
    }
}

fn behind(effect: Effect) -> skill::On {
    skill::on(RemoteKind::Keyed, move |remote| {
        let env = Env::system();
        let store = Arc::new(MemoryStore::new(env.clock()));
        let skill = RemoteSkill::named("pay", effect, remote).unwrap();
        // A law counts the calls of one run.
        let stack = SkillStack::builder(store, env).skill(skill.clone()).resilience(single());
        Behind { stack: stack.build().unwrap(), skill }
    })
}

mod keyed {
    openclaw_testkit::skill_laws!("SkillStack, Keyed", super::behind(super::KEYED));
}

mod at_most_once {
    use super::Effect;

    openclaw_testkit::skill_laws!("SkillStack, AtMostOnce", super::behind(Effect::AtMostOnce));
}
