//! `carekeep tenant ...`

use std::path::PathBuf;

use carekeep_gateway::api::identity::{FirstAdmin, check_first_admin, ensure_first_admin};
use carekeep_tenancy::{TenantFile, TenantRecord};
use clap::Subcommand;

use super::say;
use crate::{config::Config, error::Failure, serve};

/// A command about tenants.
#[derive(Subcommand)]
pub enum TenantCommand {
    /// Make a tenant from a `tenant.toml`: a clinic, or with `kind` that of a partner's or of the platform's own people; calling
    /// it again resumes or changes nothing.
    Create {
        /// The file.
        #[arg(long)]
        file: PathBuf,
        /// Login name of the first administrator; prints the link that invites them.
        #[arg(long, requires = "admin_name")]
        admin_login: Option<String>,
        /// Name of the first administrator.
        #[arg(long, requires = "admin_login")]
        admin_name: Option<String>,
    },
    /// List all tenants.
    List,
    /// Show one tenant as JSON.
    Show {
        /// Its short name.
        slug: String,
    },
    /// Stop serving a tenant; gateways follow within seconds.
    Suspend {
        /// Its short name.
        slug: String,
    },
    /// Serve it again.
    Resume {
        /// Its short name.
        slug: String,
    },
}

impl TenantCommand {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, config: &Config) -> Result<(), Failure> {
        let plane = serve::control_plane(config).await?;
        match self {
            Self::Create { file, admin_login, admin_name } => {
                let file = TenantFile::read(&file)?;
                refuse_demo_people(config, &file)?;
                if let (Some(login), Some(name)) = (&admin_login, &admin_name) {
                    check_first_admin(login, name).map_err(|error| Failure::message(error.to_string()))?;
                }
                file.new_tenant().check()?;
                if let Some(partner) = &file.partner {
                    plane.ensure_partner(&partner.slug, &partner.name).await?;
                }
                let tenant = plane.create(&file.new_tenant()).await?;
                show(&tenant)?;
                match (admin_login, admin_name) {
                    (Some(login), Some(name)) => invite(config, &tenant, &login, &name).await,
                    _ => Ok(()),
                }
            }
            Self::List => {
                for tenant in plane.list().await? {
                    say(&format!(
                        "{:<20} {:<14} {:<8} {:<10} {:<20} {}",
                        tenant.slug,
                        tenant.status,
                        tenant.region,
                        tenant.kind.as_str(),
                        tenant.partner.as_deref().unwrap_or("-"),
                        tenant.hosts.join(" ")
                    ));
                }
                Ok(())
            }
            Self::Show { slug } => show(&plane.show(&slug).await?),
            Self::Suspend { slug } => Ok(plane.set_suspended(&slug, true).await?),
            Self::Resume { slug } => Ok(plane.set_suspended(&slug, false).await?),
        }
    }
}

/// A profile other than `dev` refuses demo people.
///
/// # Errors
/// [`Failure::Message`] when the file has some and the profile is not `dev`.
pub fn refuse_demo_people(config: &Config, file: &TenantFile) -> Result<(), Failure> {
    if file.demo_people.is_empty() || config.profile.allows_dev_conveniences() {
        return Ok(());
    }
    Err(Failure::message(format!(
        "the {} profile refuses demo people: take [[demo_people]] out of the tenant's file",
        config.profile
    )))
}

/// Prints the link that invites the tenant's first administrator, or that they have joined.
async fn invite(config: &Config, tenant: &TenantRecord, login: &str, name: &str) -> Result<(), Failure> {
    let vault = serve::open_vault(config).await?;
    let asked = ensure_first_admin(&vault, tenant.id, login, name).await;
    match asked.map_err(|error| Failure::message(error.to_string()))? {
        FirstAdmin::Joined => say("this administrator has joined already: nothing was changed"),
        FirstAdmin::Invited(invited) => {
            let host = tenant.hosts.first().map_or("<host>", String::as_str);
            let link = invited.link(host, config.link_port(None));
            say(&format!("invitation, good until {}: {link}", invited.expires));
        }
    }
    Ok(())
}

fn show(tenant: &TenantRecord) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(tenant).map_err(|error| Failure::message(error.to_string()))?;
    say(&text);
    Ok(())
}
