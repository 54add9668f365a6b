//! Tables of cases: decisions that people who write no Rust can state and read (`policies/tests/*.toml`).

use std::path::Path;

use carekeep_kernel::TenantKind;

use serde::Deserialize;

use crate::{
    Aal, Action, Engine, PolicyError, Projection, Purpose, ResourceKind, Role, RoleSet,
    sample::{Cast, Situation},
};

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct CaseError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub message: String,
}

/// The outcome of the cases of one file or directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseReport {
    /// Cases looked at.
    pub run: usize,
    /// Of these, cases that expect to be allowed: a table of refusals alone proves little.
    pub allowed: usize,
    /// One readable text for each case that came out otherwise.
    pub failures: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    roles: Vec<String>,
    action: String,
    kind: String,
    purpose: String,
    expect: String,
    /// The policies that determine it; not compared if left out.
    by: Option<Vec<String>>,
    /// The role that is given or taken.
    role: Option<String>,
    #[serde(default)]
    relation: Vec<String>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default = "two")]
    aal: u8,
    #[serde(default = "one_minute")]
    factor_age: u32,
}

const fn two() -> u8 {
    2
}

const fn one_minute() -> u32 {
    60
}

/// Runs the cases of one table.
///
/// # Errors
/// [`CaseError`] if `text` is no such table, or names a role, action, kind, purpose or circumstance that there is not.
pub fn run(engine: &Engine, file: &str, text: &str) -> Result<CaseReport, CaseError> {
    let wrong = |message: String| CaseError { file: file.to_owned(), message };
    let table: Table = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut report = CaseReport::default();
    for case in &table.case {
        let situation =
            case.situation().map_err(|message| wrong(format!("case {:?}: {message}", case.name)))?;
        let decision = engine.decide(&situation.request());
        let came = decision.to_string();
        let verdict = came.split(" by ").next().unwrap_or_default();
        let by: Vec<&str> = decision.policies().iter().map(AsRef::as_ref).collect();
        report.run += 1;
        report.allowed += usize::from(case.expect.starts_with("allow"));
        if verdict != case.expect || case.by.as_ref().is_some_and(|expected| *expected != by) {
            let wanted = case.by.as_ref().map_or_else(String::new, |by| format!(" by {}", by.join(", ")));
            let explained = engine.explain(&situation.request());
            let failure =
                format!("{file}: {:?}: expected {}{wanted}, came {explained}", case.name, case.expect);
            report.failures.push(failure);
        }
    }
    Ok(report)
}

/// Runs every `*.toml` in `dir`.
///
/// # Errors
/// [`CaseError`] as [`run`], or if a file cannot be read.
pub fn run_dir(engine: &Engine, dir: &Path) -> Result<CaseReport, CaseError> {
    let unreadable = |path: &Path, source| CaseError {
        file: path.display().to_string(),
        message: PolicyError::Io { path: path.to_owned(), source }.to_string(),
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
        paths.push(entry.map_err(|error| unreadable(dir, error))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort_unstable();
    let mut all = CaseReport::default();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        let one = run(engine, &path.display().to_string(), &text)?;
        all.run += one.run;
        all.allowed += one.allowed;
        all.failures.extend(one.failures);
    }
    Ok(all)
}

fn parse<T: std::str::FromStr>(name: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    name.parse().map_err(|error: T::Err| error.to_string())
}

impl Case {
    fn situation(&self) -> Result<Situation, String> {
        self.check_expectation()?;
        let roles: RoleSet = self.roles.iter().map(|role| parse::<Role>(role)).collect::<Result<_, _>>()?;
        let kind: ResourceKind = parse(&self.kind)?;
        let cast = Cast::new();
        let mut situation = cast.plain(roles, parse::<Action>(&self.action)?, kind);
        situation.context.purpose = parse::<Purpose>(&self.purpose)?;
        situation.context.aal = parse::<Aal>(&format!("aal{}", self.aal))?;
        situation.context.factor_age_seconds = self.factor_age;
        situation.resource.account.role = self.role.as_deref().map(parse::<Role>).transpose()?;
        for relation in &self.relation {
            relate(&mut situation, relation)?;
        }
        for circumstance in &self.with {
            vary(&mut situation, &cast, circumstance)?;
        }
        Ok(situation)
    }

    /// A misspelt expectation must not pass for a case that came out otherwise.
    fn check_expectation(&self) -> Result<(), String> {
        let (verdict, inner) = self
            .expect
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .ok_or_else(|| format!("expect = {:?}: write allow(full) or deny(no_permit)", self.expect))?;
        match verdict {
            "allow" => parse::<Projection>(inner).map(|_| ()),
            "deny" => parse::<crate::DenyReason>(inner).map(|_| ()),
            other => Err(format!("unknown verdict {other:?}: write allow or deny")),
        }
    }
}

fn relate(situation: &mut Situation, name: &str) -> Result<(), String> {
    let relation = &mut situation.resource.relation;
    match name {
        "care_team" => relation.care_team = true,
        "assigned" => relation.assigned = true,
        "appointment" => relation.appointment = true,
        "proxy" => relation.proxy = true,
        other => {
            return Err(format!("unknown relation {other:?}: use care_team, assigned, appointment, proxy"));
        }
    }
    Ok(())
}

fn vary(situation: &mut Situation, cast: &Cast, name: &str) -> Result<(), String> {
    match name {
        "own_chart" => situation.principal.patient = Some(cast.patient),
        "another_chart" => situation.principal.patient = Some(cast.row),
        "other_tenant" => situation.resource.tenant = cast.other_tenant,
        "partner" => situation.principal.tenant_kind = TenantKind::Partner,
        "platform" => situation.principal.tenant_kind = TenantKind::Platform,
        "suspended" => situation.principal.suspended = true,
        "inactive_tenant" => situation.context.tenant_active = false,
        "unknown_device" => situation.context.known_device = false,
        "device_required" => situation.context.device_required = true,
        "no_patient" => situation.resource.patient = None,
        "no_id" => situation.resource.id = None,
        "outside" => situation.resource.account.outside = true,
        "program" => situation.resource.account.program = true,
        "last_in_role" => situation.resource.account.last_in_role = true,
        "token_maker" => situation.resource.account.token_maker = true,
        "own_account" => {
            situation.resource.id = Some(carekeep_kernel::ResourceId::from_uuid(cast.person.as_uuid()));
        }
        other => {
            return Err(format!(
                "unknown circumstance {other:?}: use partner, platform, own_chart, another_chart, other_tenant, suspended, \
                 inactive_tenant, unknown_device, device_required, no_patient, no_id, own_account, outside, program, \
                 last_in_role, token_maker"
            ));
        }
    }
    Ok(())
}
