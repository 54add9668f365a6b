//! Bench B5: what a decision costs, entities included, and whether stored policies that are about somebody else cost
//! anything. Run with `cargo run --release -p carekeep-policy --example decide_bench`.
//!
//! `decided` columns are [`Engine::decide`], with people and patients that were never seen before in every round;
//! `evaluated` columns are the same without remembered decisions: what the first of a kind costs.
//!
//! Everything is measured in one interleaved run, so that a busy machine slows all columns alike.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{error::Error, fmt::Write as _, hint::black_box, sync::Arc, time::Instant};

use carekeep_kernel::{ManualClock, PersonId, ResourceId, SeededRandom, TenantId, TenantKind, Timestamp};
use carekeep_policy::{
    Aal, AccessRequest, AccountFacts, Action, Context, Decision, Engine, PolicySource, Principal, Purpose,
    Relation, Resource, ResourceKind, Role, RoleSet,
};

const ROUNDS: usize = 4_000;
/// Never true (there are three levels), but nothing that the type checker knows.
const AGELESS: &str = "context.knownDevice && context.aal == 1{at}";

struct Ask {
    principal: Principal,
    action: Action,
    resource: Resource,
    context: Context,
}

impl Ask {
    fn request(&self) -> AccessRequest<'_> {
        let Self { principal, action, resource, context } = self;
        AccessRequest { principal, action: *action, resource, context }
    }
}

/// What a clinic does: mostly chart reads, some searches, some refusals; other people and patients with every seed.
fn mix(seed: u64) -> Vec<Ask> {
    use Purpose::{Operations, PatientRequest, Payment, Treatment};
    let (clock, random) =
        (ManualClock::at(Timestamp::from_micros(1_790_000_000_000_000)), SeededRandom::new(seed));
    let ask = |role: Role, action: Action, kind: ResourceKind, purpose: Purpose, related: bool| {
        let tenant = TenantId::generate(&clock, &random);
        let patient = ResourceId::generate(&clock, &random);
        Ask {
            principal: Principal {
                tenant,
                tenant_kind: TenantKind::Clinic,
                person: PersonId::generate(&clock, &random),
                roles: RoleSet::of(role),
                suspended: false,
                patient: (role == Role::Patient).then_some(patient),
            },
            action,
            resource: Resource {
                tenant,
                kind,
                id: Some(ResourceId::generate(&clock, &random)),
                patient: Some(patient),
                relation: Relation { care_team: related, ..Relation::default() },
                account: AccountFacts::default(),
            },
            context: Context {
                aal: Aal::Two,
                factor_age_seconds: 300,
                purpose,
                tenant_active: true,
                known_device: true,
                device_required: false,
            },
        }
    };
    vec![
        ask(Role::Clinician, Action::Read, ResourceKind::Patient, Treatment, true),
        ask(Role::Clinician, Action::Read, ResourceKind::Observation, Treatment, true),
        ask(Role::Clinician, Action::Search, ResourceKind::Observation, Treatment, true),
        ask(Role::Clinician, Action::Update, ResourceKind::MedicationRequest, Treatment, true),
        ask(Role::Clinician, Action::Read, ResourceKind::Condition, Treatment, false),
        ask(Role::Nurse, Action::Create, ResourceKind::Observation, Treatment, true),
        ask(Role::Patient, Action::Read, ResourceKind::DiagnosticReport, PatientRequest, false),
        ask(Role::Reception, Action::Read, ResourceKind::Patient, Operations, false),
        ask(Role::Reception, Action::Create, ResourceKind::Appointment, Operations, false),
        ask(Role::Billing, Action::Search, ResourceKind::Encounter, Payment, false),
    ]
}

/// `count` tenant policies. `spread`: over roles, actions and classes alike; otherwise about support and audit only.
/// `condition` is Cedar; `{at}` in it is the number of the policy.
fn overlay(count: usize, spread: bool, condition: &str) -> String {
    let mut text = String::new();
    let classes = ["Patient", "Encounter", "ClinicalRecord", "Appointment", "DirectoryEntry"];
    let actions = ["read", "version_read", "history", "search", "create", "update", "delete"];
    for at in 0..count {
        let (role, action, class) = if spread {
            let role = Role::ALL[at % Role::ALL.len()].as_str();
            (role, actions[at / Role::ALL.len() % 7], classes[at / (7 * Role::ALL.len()) % 5])
        } else {
            (["support", "auditor"][at % 2], "read", "Tenant")
        };
        let _ = writeln!(
            text,
            "@id(\"t.{at}\") @description(\"stored\") @projection(\"metadata\") permit (principal in Role::\"{role}\", \
             action == Action::\"{action}\", resource is {class}) when {{ {} }};",
            condition.replace("{at}", &at.to_string())
        );
    }
    text
}

struct Column {
    name: &'static str,
    engine: Arc<Engine>,
    anew: bool,
    nanos: Vec<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let source = PolicySource::shipped();
    let compile = |name, overlay: Option<String>| -> Result<Column, Box<dyn Error>> {
        let began = Instant::now();
        let engine = Engine::compile(&source, overlay.as_deref())?;
        println!("compiled {name} in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        Ok(Column { name, engine: Arc::new(engine), anew: false, nanos: Vec::new() })
    };
    let mut columns = vec![
        compile("shipped", None)?,
        compile("shipped + 10 of other roles", Some(overlay(10, false, AGELESS)))?,
        compile("shipped + 1,000 of other roles", Some(overlay(1_000, false, AGELESS)))?,
        compile("shipped + 1,000 over all roles", Some(overlay(1_000, true, AGELESS)))?,
        compile(
            "shipped + 1,000 that look at a clock",
            Some(overlay(1_000, true, "context.factorAge == {at}")),
        )?,
    ];
    for (column, name) in [
        (0, "evaluated: shipped"),
        (1, "evaluated: + 10 of other roles"),
        (2, "evaluated: + 1,000 of other roles"),
        (3, "evaluated: + 1,000 over all roles"),
    ] {
        let engine = Arc::clone(&columns[column].engine);
        columns.push(Column { name, engine, anew: true, nanos: Vec::new() });
    }
    for ask in &mix(0) {
        println!(
            "  {:<9} {:<6} {:<18} {}",
            ask.principal.roles,
            ask.action,
            ask.resource.kind,
            columns[0].engine.decide(&ask.request())
        );
    }
    for round in 0..ROUNDS {
        for ask in &mix(round as u64) {
            for column in &mut columns {
                let request = black_box(ask.request());
                let began = Instant::now();
                let decision: Decision = black_box(if column.anew {
                    column.engine.decide_anew(&request)
                } else {
                    column.engine.decide(&request)
                });
                let took = began.elapsed();
                drop(decision);
                if round >= ROUNDS / 10 {
                    column.nanos.push(u64::try_from(took.as_nanos())?);
                }
            }
        }
    }
    report(&mut columns);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one decision are far below 2^52")]
fn report(columns: &mut [Column]) {
    println!("\n{:<38} {:>9} {:>9} {:>9}", "decision, entities included", "p50 us", "p99 us", "mean us");
    let mut medians = Vec::new();
    for column in columns {
        column.nanos.sort_unstable();
        let at = |share: f64| column.nanos[(column.nanos.len() as f64 * share) as usize] as f64 / 1e3;
        let mean = column.nanos.iter().sum::<u64>() as f64 / column.nanos.len() as f64 / 1e3;
        println!("{:<38} {:>9.2} {:>9.2} {:>9.2}", column.name, at(0.50), at(0.99), mean);
        medians.push(at(0.50));
    }
    for (what, at) in [("decided", 0), ("evaluated", 5)] {
        println!(
            "1,000 stored policies of other roles against 10, {what}: {:.2} x (p50)",
            medians[at + 2] / medians[at + 1]
        );
        println!(
            "1,000 stored policies over all roles against 10, {what}: {:.2} x (p50)",
            medians[at + 3] / medians[at + 1]
        );
    }
}
