//! `carekeep policy ...`

use std::path::PathBuf;

use carekeep_kernel::{ResourceId, TenantId, TenantKind};
use carekeep_policy::{
    Aal, AccessRequest, AccountFacts, Action, Context, Engine, PolicySource, Principal, Purpose, Relation,
    Resource, ResourceKind, Role, RoleSet, cases, prove,
};
use clap::{Args, Subcommand};

use super::say;
use crate::error::Failure;

/// Which policies.
#[derive(Args)]
pub struct Source {
    /// Folder of policies; those built into this binary if left out.
    #[arg(long)]
    policies: Option<PathBuf>,
    /// A tenant's own policies on top.
    #[arg(long)]
    overlay: Option<PathBuf>,
}

/// A command about policies.
#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Validate the policies against the schema and run their tables of cases.
    Check(Source),
    /// Prove that nothing the policies allow breaks an invariant; show a concrete request if something does.
    Prove {
        /// Which policies.
        #[command(flatten)]
        source: Source,
        /// The solver.
        #[arg(long, default_value = "/usr/bin/cvc5")]
        cvc5: PathBuf,
    },
    /// Show how each policy decides one request.
    Explain(Question),
}

/// A request to explain.
#[derive(Args)]
pub struct Question {
    /// Which policies.
    #[command(flatten)]
    source: Source,
    /// Roles of the person.
    #[arg(long, required = true)]
    role: Vec<Role>,
    /// What their tenant is for: clinic, partner, platform.
    #[arg(long, default_value = "clinic")]
    at: TenantKind,
    /// What they do.
    #[arg(long)]
    action: Action,
    /// To what.
    #[arg(long)]
    kind: ResourceKind,
    /// Why, as HL7 PurposeOfUse.
    #[arg(long, default_value = "TREAT")]
    purpose: Purpose,
    /// What they are to the patient: care_team, assigned, appointment, proxy, self.
    #[arg(long)]
    relation: Vec<String>,
    /// Assurance level of the session.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    aal: u8,
}

impl Source {
    fn load(&self) -> Result<(PolicySource, Option<String>), Failure> {
        let source = match &self.policies {
            Some(folder) => PolicySource::load(folder)?,
            None => PolicySource::shipped(),
        };
        let overlay = match &self.overlay {
            Some(path) => Some(std::fs::read_to_string(path).map_err(Failure::file(path))?),
            None => None,
        };
        Ok((source, overlay))
    }
}

impl PolicyCommand {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`]; a policy that is not proven is one.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check(source) => check(&source),
            Self::Prove { source, cvc5 } => {
                let (policies, overlay) = source.load()?;
                let report = prove::prove(&policies, overlay.as_deref(), &cvc5)
                    .await
                    .map_err(|error| Failure::message(error.to_string()))?;
                say(&report.to_string());
                if report.is_proven() {
                    return Ok(());
                }
                Err(Failure::message("not proven: these policies cannot go live; mend what the report names"))
            }
            Self::Explain(question) => explain(&question),
        }
    }
}

fn check(source: &Source) -> Result<(), Failure> {
    let (policies, overlay) = source.load()?;
    let engine = Engine::compile(&policies, overlay.as_deref())?;
    say(&format!("{} policies fit the schema", engine.policies().count()));
    let Some(folder) = &source.policies else { return Ok(()) };
    let report = cases::run_dir(&engine, &folder.join("tests"))
        .map_err(|error| Failure::message(error.to_string()))?;
    say(&format!("{} cases run, {} of them expect yes", report.run, report.allowed));
    if report.failures.is_empty() {
        return Ok(());
    }
    Err(Failure::message(format!("cases came out otherwise:\n{}", report.failures.join("\n"))))
}

fn explain(question: &Question) -> Result<(), Failure> {
    let (policies, overlay) = question.source.load()?;
    let engine = Engine::compile(&policies, overlay.as_deref())?;
    let is = |name: &str| question.relation.iter().any(|relation| relation == name);
    let (tenant, patient) = (TenantId::from_uuid(example(1)), ResourceId::from_uuid(example(2)));
    let principal = Principal {
        tenant,
        tenant_kind: question.at,
        person: carekeep_kernel::PersonId::from_uuid(example(3)),
        roles: question.role.iter().copied().collect::<RoleSet>(),
        suspended: false,
        patient: is("self").then_some(patient),
    };
    let resource = Resource {
        tenant,
        kind: question.kind,
        id: Some(if question.kind == ResourceKind::Patient {
            patient
        } else {
            ResourceId::from_uuid(example(4))
        }),
        patient: Some(patient),
        relation: Relation {
            care_team: is("care_team"),
            assigned: is("assigned"),
            appointment: is("appointment"),
            proxy: is("proxy"),
        },
        account: AccountFacts::default(),
    };
    let context = Context {
        aal: match question.aal {
            3 => Aal::Three,
            2 => Aal::Two,
            _ => Aal::One,
        },
        factor_age_seconds: 0,
        purpose: question.purpose,
        tenant_active: true,
        known_device: true,
        device_required: false,
    };
    let request = AccessRequest {
        principal: &principal,
        action: question.action,
        resource: &resource,
        context: &context,
    };
    say(&engine.explain(&request).to_string());
    Ok(())
}

fn example(last: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, last])
}
