//! What the desk can do: find a customer, change an address, write a note, tell finance.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use openclaw_channels::http::sign;
use openclaw_core::{
    Context, Effect, Env, ErrorKind, OrFail, Result, Secret, SkillId, Touches,
    http::Http,
    middleware::stack::Resilience,
    skill::{Skill, SkillManifest},
};
use openclaw_skills::{
    Schemas, SkillCx,
    api::{Api, Authorize, Credential, Operation, PageLimits, Paging, Template, VersionIn},
    auth::OAuth,
    schemars,
    secrets::{SecretRef, Secrets},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The skill that finds a customer by e-mail.
pub(crate) const FIND: &str = "crm.find_customer";
/// The skill that changes a billing address.
pub(crate) const CHANGE: &str = "crm.change_billing_address";
/// The skill that writes into a customer's file.
pub(crate) const NOTE: &str = "crm.add_note";
/// The skill that tells finance.
pub(crate) const TELL: &str = "finance.notify";

/// How long the remotes remember a key.
const KEYS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

const CHANGE_ADDRESS: &str = "mutation Change($customer: ID!, $address: AddressInput!) {
  changeBillingAddress(customer: $customer, address: $address) { id }
}";

/// Whom to find.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Find {
    /// The customer's e-mail address, the whole of it.
    #[schemars(length(min = 3, max = 254))]
    pub(crate) email: String,
}

/// A customer; nothing when nobody has that address.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
pub(crate) struct Found {
    pub(crate) customer: Option<Customer>,
}

#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
}

/// Where bills go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    #[schemars(length(min = 1, max = 100))]
    pub(crate) street: String,
    #[schemars(length(min = 1, max = 100))]
    pub(crate) city: String,
    #[schemars(length(min = 1, max = 12))]
    pub(crate) postcode: String,
    /// Two letters, as in ISO 3166.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub(crate) country: String,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    customer: String,
    address: Address,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
struct Changed {
    #[serde(rename = "changeBillingAddress")]
    change: Id,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
struct Id {
    id: String,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    customer: String,
    #[schemars(length(min = 1, max = 1_000))]
    text: String,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
struct Noted {
    note: String,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Notice {
    customer: String,
    event: String,
}

#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
struct Received {
    received: bool,
}

/// The APIs of the two remotes.
#[derive(Clone, Debug)]
pub(crate) struct Remotes {
    crm: Api,
    finance: Api,
    find: Template,
    note: Template,
    tell: Template,
}

impl Remotes {
    /// Both, at this address; the CRM by OAuth, finance by signature.
    pub(crate) fn new(
        http: &Arc<dyn Http>,
        at: &str,
        oauth: OAuth,
        signature: Signature,
        resilience: &Resilience,
    ) -> Result<Self> {
        let crm = Api::builder("crm", &format!("{at}/api"))?
            .version("v3", VersionIn::Path)
            .keyed(KEYS_LAST)
            .authorize(oauth)
            .resilience(resilience.clone())
            .build(Arc::clone(http))?;
        let finance = Api::builder("finance", &format!("{at}/finance"))?
            .keyed(KEYS_LAST)
            .authorize(signature)
            .resilience(resilience.clone())
            .build(Arc::clone(http))?;
        Ok(Self {
            crm,
            finance,
            find: Template::get("/customers")?,
            note: Template::post("/customers/{customer}/notes")?,
            tell: Template::post("/hooks")?,
        })
    }

    /// The search finds parts of addresses, in pages: only the whole one counts.
    async fn find(self, cx: SkillCx, input: Find) -> Result<Found> {
        let crm = self.crm.exchange(&cx);
        let paging = Paging::cursor("/next_cursor", "cursor").items("/data");
        let mut pages =
            crm.pages::<Customer>(self.find.fill(&input)?, paging, PageLimits::default())?;
        while let Some(customer) = pages.next().await? {
            if customer.email == input.email {
                return Ok(Found { customer: Some(customer) });
            }
        }
        Ok(Found::default())
    }

    async fn change(self, cx: SkillCx, input: Change) -> Result<Id> {
        let change = Operation::new(CHANGE_ADDRESS)?.variables(&input)?;
        let reply = self.crm.exchange(&cx).graphql::<Changed>(&change).await?;
        reply.whole().map(|changed| changed.change)
    }

    async fn note(self, cx: SkillCx, input: Note) -> Result<Noted> {
        self.crm.exchange(&cx).read(self.note.fill(&input)?).await
    }

    async fn tell(self, cx: SkillCx, input: Notice) -> Result<Received> {
        self.finance.exchange(&cx).read(self.tell.fill(&input)?).await
    }

    /// The four skills.
    pub(crate) fn skills(&self) -> Result<Vec<Arc<dyn Skill>>> {
        let schemas = Schemas::new();
        let keyed = Effect::Keyed { retention: KEYS_LAST };
        let manifest = |id: &str, about: &str| -> Result<SkillManifest> {
            let id = SkillId::new(id).before_send(ErrorKind::ValidationError)?;
            Ok(SkillManifest::new(id, "1.0.0").describe(about))
        };
        let find = manifest(FIND, "Finds a customer by the e-mail address")?
            .effect(Effect::Pure)
            .touches(Touches::READS_PRIVATE);
        let change = manifest(CHANGE, "Changes where a customer's bills go")?
            .effect(keyed)
            .touches(Touches::WRITES);
        let note =
            manifest(NOTE, "Writes into a customer's file")?.effect(keyed).touches(Touches::WRITES);
        let tell =
            manifest(TELL, "Tells finance what happened")?.effect(keyed).touches(Touches::EGRESS);
        let (a, b, c, d) = (self.clone(), self.clone(), self.clone(), self.clone());
        Ok(vec![
            Arc::new(schemas.skill_fn(find, move |cx, input| a.clone().find(cx, input))?),
            Arc::new(schemas.skill_fn(change, move |cx, input| b.clone().change(cx, input))?),
            Arc::new(schemas.skill_fn(note, move |cx, input| c.clone().note(cx, input))?),
            Arc::new(schemas.skill_fn(tell, move |cx, input| d.clone().tell(cx, input))?),
        ])
    }
}

/// Signs what finance is told, as its hook asks for.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) secrets: Secrets,
    pub(crate) reference: SecretRef,
    pub(crate) env: Env,
}

#[async_trait]
impl Authorize for Signature {
    async fn authorize(
        &self,
        _: &Context,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        if let Some(refused) = refused {
            self.secrets.invalidate(&self.reference, refused);
        }
        let secret: Secret = self.secrets.get(&self.reference).await?;
        let (now, nonce) =
            (self.env.now().as_millis() / 1000, format!("n{:032x}", self.env.next_u64()));
        let signature = format!("v1={}", sign(&secret, now, &nonce, request.body()));
        for (name, value) in [
            ("x-openclaw-timestamp", now.to_string()),
            ("x-openclaw-nonce", nonce),
            ("x-openclaw-signature", signature),
        ] {
            let value = HeaderValue::from_str(&value).before_send(ErrorKind::ValidationError)?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(Credential::of(&secret))
    }
}

/// What the rules say, as a host would keep it in a file.
pub(crate) fn rules() -> String {
    json!({
        "default": "deny",
        "rules": [
            { "name": "reading is free",
              "when": { "skills": [FIND] },
              "then": "allow" },
            { "name": "notes and notices are free",
              "when": { "skills": [NOTE, TELL] },
              "then": "allow" },
            { "name": "addresses in the Nordics need a yes of the back office",
              "when": { "skills": [CHANGE], "arguments": { "/address/country":
                  { "one_of": ["DK", "FI", "IS", "NO", "SE"] } } },
              "then": { "require_approval": {
                  "roles": ["back-office"], "ttl": "1h", "reason": "bills will go elsewhere" } } },
            { "name": "no bills to Atlantis",
              "when": { "skills": [CHANGE], "arguments": { "/address/country": { "equals": "XX" } } },
              "then": { "deny": { "code": "COUNTRY", "reason": "we send no bills to this country" } } },
        ],
    })
    .to_string()
}
