//! Z6, A1: over random sequences of what people do, what was opened is what the ledger says was opened, each time, and
//! what anybody sees is what a simple model of the rules says they see.
//!
//! `CAREKEEP_SEQUENCES` sets the number of sequences, `CAREKEEP_SEED` replays from one seed.

use std::collections::{BTreeMap, BTreeSet};

use carekeep_kernel::{Random, ResourceId, SeededRandom, TenantId, random};
use carekeep_ledger::Outcome;
use carekeep_policy::{ResourceKind, Role};
use carekeep_testkit::{Person, PersonSpec, Platform};
use carekeep_vault::{AccessError, Planned, Vault, catalogue};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{draft, entries_in, named, open, query, verify_ledger};

const SEQUENCES: u64 = 150;
const STEPS: usize = 14;
const ROLES: [&[Role]; 3] = [
    &[Role::Clinician, Role::Clinician, Role::Nurse],
    &[Role::Clinician, Role::Clinician, Role::Reception],
    &[Role::Clinician, Role::Nurse],
];

/// What one opening or one permit to write is known by: action, resource, version.
type Event = (String, ResourceId, Option<u64>);

struct Somebody {
    role: Role,
    person: Person,
}

#[derive(Clone)]
struct Thing {
    tenant: TenantId,
    kind: ResourceKind,
    id: ResourceId,
    patient: ResourceId,
    version: u32,
    text: String,
}

struct World {
    platform: Platform,
    /// The superuser's connections.
    clinical: PgPool,
    vault: std::sync::Arc<Vault>,
    people: Vec<Somebody>,
    dice: SeededRandom,
    things: Vec<Thing>,
    related: BTreeSet<(carekeep_kernel::PersonId, ResourceId)>,
    /// By tenant.
    opened: BTreeMap<TenantId, Vec<Event>>,
    permitted_to_write: BTreeMap<TenantId, Vec<Event>>,
    /// The first entry that was not compared yet.
    next: BTreeMap<TenantId, i64>,
    outcomes: BTreeMap<&'static str, u32>,
}

impl World {
    fn roll(&self, sides: usize) -> usize {
        (u64::from_le_bytes(random::bytes(&self.dice as &dyn Random)) % sides as u64) as usize
    }

    /// Something that there is: mostly of the person's own tenant, and there mostly of their own patients.
    fn pick_thing(&self, who: usize) -> Option<Thing> {
        let person = &self.people[who].person;
        let near = self.roll(8);
        let fits = |thing: &&Thing| match near {
            0 => true,
            1 | 2 => thing.tenant == person.tenant,
            _ => self.related.contains(&(person.id, thing.patient)),
        };
        let fitting: Vec<&Thing> = self.things.iter().filter(fits).collect();
        let among = if fitting.is_empty() { self.things.iter().collect() } else { fitting };
        (!among.is_empty()).then(|| among[self.roll(among.len())].clone())
    }

    fn opens(&mut self, tenant: TenantId, action: &str, id: ResourceId, version: u32) {
        let event = (action.to_owned(), id, Some(u64::from(version)));
        self.opened.entry(tenant).or_default().push(event);
    }

    fn sees(&self, who: &Somebody, thing: &Thing) -> bool {
        who.person.tenant == thing.tenant
            && match who.role {
                Role::Reception => thing.kind == ResourceKind::Patient,
                _ => self.related.contains(&(who.person.id, thing.patient)),
            }
    }

    fn tally(&mut self, what: &'static str, yes: bool) {
        let refused: &'static str = match what {
            "read" => "read refused",
            "history" => "history refused",
            "create" => "create refused",
            "update" => "update refused",
            _ => "other refused",
        };
        *self.outcomes.entry(if yes { what } else { refused }).or_default() += 1;
    }

    async fn step(&mut self, at: usize) {
        let who = self.roll(self.people.len());
        let caller = self.people[who].person.caller(&self.vault).await.unwrap();
        match self.roll(10) {
            0 | 1 => self.create_patient(who, &caller, at).await,
            2 => self.create_observation(who, &caller, at).await,
            3 | 4 => self.read(who, &caller).await,
            5 => self.history(who, &caller).await,
            6 => self.search(who, &caller).await,
            7 => self.update(who, &caller, at).await,
            8 => self.relate(who, true).await,
            _ => self.relate(who, false).await,
        }
    }

    async fn change(
        &mut self,
        caller: &carekeep_vault::Caller,
        action: &str,
        (id, base): (ResourceId, u32),
        planned: Planned,
    ) -> Result<(), AccessError> {
        let changes = self.vault.permit_changes(caller, vec![planned]).await?;
        let event = (action.to_owned(), id, (base > 0).then_some(u64::from(base)));
        self.permitted_to_write.entry(caller.tenant()).or_default().push(event);
        self.vault.commit(caller, changes).await
    }

    async fn create_patient(&mut self, who: usize, caller: &carekeep_vault::Caller, at: usize) {
        let text = format!("p{at}-{}", self.roll(1_000_000));
        let draft = draft(&self.platform, ResourceKind::Patient, None, &text);
        let id = draft.id;
        let made = self.change(caller, "create", (id, 0), Planned::Create(draft)).await;
        let role = self.people[who].role;
        assert_eq!(made.is_ok(), role != Role::Nurse, "{role:?} registers: {made:?}");
        self.tally("create", made.is_ok());
        if made.is_ok() {
            let (tenant, kind) = (caller.tenant(), ResourceKind::Patient);
            self.things.push(Thing { tenant, kind, id, patient: id, version: 1, text });
            if role == Role::Clinician {
                self.related.insert((caller.person(), id));
            }
        }
    }

    async fn create_observation(&mut self, who: usize, caller: &carekeep_vault::Caller, at: usize) {
        let Some(thing) = self.pick_thing(who) else { return };
        let text = format!("o{at}-{}", self.roll(1_000_000));
        let draft = draft(&self.platform, ResourceKind::Observation, Some(thing.patient), &text);
        let id = draft.id;
        let made = self.change(caller, "create", (id, 0), Planned::Create(draft)).await;
        let may = self.people[who].role != Role::Reception && self.sees(&self.people[who], &thing);
        assert_eq!(made.is_ok(), may, "an observation: {made:?}");
        self.tally("create", may);
        if may {
            let tenant = caller.tenant();
            self.things.push(Thing {
                tenant,
                kind: ResourceKind::Observation,
                id,
                patient: thing.patient,
                version: 1,
                text,
            });
        }
    }

    async fn read(&mut self, who: usize, caller: &carekeep_vault::Caller) {
        let Some(thing) = self.pick_thing(who) else { return };
        let opened = async {
            let (sealed, permit) = self.vault.read::<catalogue::Read>(caller, thing.kind, thing.id).await?;
            open(sealed, permit)
        };
        let opened: Result<String, AccessError> = opened.await;
        assert_eq!(opened.is_ok(), self.sees(&self.people[who], &thing), "read: {opened:?}");
        self.tally("read", opened.is_ok());
        if let Ok(text) = opened {
            assert_eq!(text, thing.text);
            self.opens(caller.tenant(), "read", thing.id, thing.version);
        }
    }

    async fn history(&mut self, who: usize, caller: &carekeep_vault::Caller) {
        let Some(thing) = self.pick_thing(who) else { return };
        let versions = crate::support::history(&self.vault, caller, (thing.kind, thing.id)).await;
        let may = self.people[who].role != Role::Reception && self.sees(&self.people[who], &thing);
        let shown = versions.unwrap_or_default();
        assert_eq!(!shown.is_empty(), may);
        self.tally("history", may);
        for (version, _) in &shown {
            self.opens(caller.tenant(), "history", thing.id, *version);
        }
        assert!(!may || shown.len() == thing.version as usize);
    }

    async fn search(&mut self, who: usize, caller: &carekeep_vault::Caller) {
        let kind = [ResourceKind::Patient, ResourceKind::Observation][self.roll(2)];
        let mut asked = query(kind);
        asked.patients = Some(self.things.iter().map(|thing| thing.patient).collect());
        let text = self.pick_thing(who).filter(|_| self.roll(3) == 0).map(|thing| thing.text);
        if let Some(text) = &text {
            asked.terms = named(text);
        }
        let found = crate::support::search(&self.vault, caller, &asked).await;
        let expected: BTreeSet<(ResourceId, u32)> = self
            .things
            .iter()
            .filter(|thing| thing.kind == kind && self.sees(&self.people[who], thing))
            .filter(|thing| text.as_ref().is_none_or(|text| *text == thing.text))
            .map(|thing| (thing.id, thing.version))
            .collect();
        let found = found.unwrap_or_default();
        assert_eq!(found.iter().map(|(id, version, _)| (*id, *version)).collect::<BTreeSet<_>>(), expected);
        for (id, version, _) in found {
            self.opens(caller.tenant(), "search", id, version);
        }
        self.tally("search", true);
    }

    async fn update(&mut self, who: usize, caller: &carekeep_vault::Caller, at: usize) {
        let Some(thing) = self.pick_thing(who) else { return };
        let sealed = self.vault.fetch::<catalogue::Update>(caller, thing.kind, thing.id).await;
        let text = format!("u{at}-{}", self.roll(1_000_000));
        let outcome = match sealed {
            Ok(sealed) => {
                let mut next = draft(&self.platform, thing.kind, Some(thing.patient), &text);
                (next.id, next.patient, next.base) = (thing.id, Some(thing.patient), thing.version);
                self.change(caller, "update", (thing.id, thing.version), Planned::Update(next, sealed)).await
            }
            Err(error) => Err(error),
        };
        let role = self.people[who].role;
        let may = self.sees(&self.people[who], &thing)
            && (role != Role::Nurse || thing.kind == ResourceKind::Observation);
        assert_eq!(outcome.is_ok(), may, "update by {role:?}: {outcome:?}");
        self.tally("update", may);
        if may {
            let thing = self.things.iter_mut().find(|other| other.id == thing.id).unwrap();
            (thing.version, thing.text) = (thing.version + 1, text);
        }
    }

    /// Somebody comes onto a patient's care team, or leaves it.
    async fn relate(&mut self, who: usize, comes: bool) {
        let Some(thing) = self.pick_thing(who) else { return };
        let person = self.people[who].person.clone();
        if person.tenant != thing.tenant {
            return;
        }
        let now = "to_timestamp($3::float8 / 1000000)";
        let sql = if comes {
            format!(
                "INSERT INTO {}.care_relation (person, patient, relation, valid_from, entry) VALUES ($1, $2, 1, {now}, $1)
                 ON CONFLICT (person, patient, relation) DO UPDATE SET valid_from = excluded.valid_from, valid_until = NULL",
                person.tenant.schema()
            )
        } else {
            format!(
                "UPDATE {}.care_relation SET valid_until = {now} WHERE person = $1 AND patient = $2",
                person.tenant.schema()
            )
        };
        // A moment ago: what follows is later by the same clock.
        let at = self.platform.clock.now().as_micros() - 1_000;
        sqlx::query(AssertSqlSafe(sql))
            .bind(person.id.as_uuid())
            .bind(thing.patient.as_uuid())
            .bind(at as f64)
            .execute(&self.clinical)
            .await
            .unwrap();
        if comes {
            self.related.insert((person.id, thing.patient));
        } else {
            self.related.remove(&(person.id, thing.patient));
        }
    }

    /// What the ledger says since the last look is what was opened and permitted since, as multisets.
    async fn compare(&mut self, seed: u64) {
        let tenants: Vec<TenantId> = self.next.keys().copied().collect();
        for tenant in tenants {
            let next = self.next[&tenant];
            let fresh = entries_in(&self.clinical, tenant, next).await;
            self.next.insert(tenant, next + fresh.len() as i64);
            let (mut opened, mut written) = (Vec::new(), Vec::new());
            for entry in fresh.iter().filter(|entry| entry.outcome == Outcome::Permitted) {
                let events = entry
                    .resources
                    .iter()
                    .map(|resource| (entry.action.clone(), resource.id, resource.version));
                match entry.action.as_str() {
                    "create" | "update" => written.extend(events),
                    _ => opened.extend(events),
                }
            }
            let mut did = self.opened.remove(&tenant).unwrap_or_default();
            let mut wrote = self.permitted_to_write.remove(&tenant).unwrap_or_default();
            for list in [&mut opened, &mut written, &mut did, &mut wrote] {
                list.sort();
            }
            assert_eq!(did, opened, "seed {seed}: opened on the left, recorded on the right");
            assert_eq!(wrote, written, "seed {seed}: permits to write");
        }
    }
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn bar_z6_whatever_people_do_opened_bodies_are_audit_entries() {
    let platform = Platform::start().await;
    let vault = platform.vault().await;
    let mut people = Vec::new();
    let mut next = BTreeMap::new();
    for (slug, roles) in ["acme", "bolt", "cove"].into_iter().zip(ROLES) {
        let tenant = platform.tenant(slug).await.id;
        next.insert(tenant, 0);
        for role in roles {
            let spec = PersonSpec { roles: &[*role], ..PersonSpec::default() };
            people.push(Somebody { role: *role, person: platform.person(tenant, spec).await });
        }
    }
    vault.directory().refresh().await.unwrap();
    assert_eq!(people.len(), 8);
    let seed = from_env("CAREKEEP_SEED", u64::from_le_bytes(random::bytes(&*platform.random)) >> 16);
    let sequences = from_env("CAREKEEP_SEQUENCES", SEQUENCES);
    println!("seeds {seed} to {}; replay with CAREKEEP_SEED", seed + sequences);
    let mut world = World {
        clinical: platform.superuser("clinical"),
        platform,
        vault,
        people,
        dice: SeededRandom::new(seed),
        things: Vec::new(),
        related: BTreeSet::new(),
        opened: BTreeMap::new(),
        permitted_to_write: BTreeMap::new(),
        next,
        outcomes: BTreeMap::new(),
    };
    for sequence in seed..seed + sequences {
        world.dice = SeededRandom::new(sequence);
        world.things.clear();
        for at in 0..STEPS {
            world.step(at).await;
        }
        world.compare(sequence).await;
    }
    println!("{sequences} sequences: {:?}", world.outcomes);
    // The check would be empty if little happened, or everything were allowed.
    for what in
        ["read", "read refused", "history", "history refused", "create", "create refused", "search", "update"]
    {
        assert!(world.outcomes.get(what).copied().unwrap_or(0) >= 1, "{what} never happened");
    }
    for tenant in world.next.keys() {
        verify_ledger(&world.platform, *tenant, &[]).await;
    }
}
