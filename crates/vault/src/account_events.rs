//! Entries for what happens to accounts: signing in, factors, sessions. Policy does not decide on these: identity's state
//! machine does, and the ledger says what it did. The session that came of it is told to nobody before that is durable.

use carekeep_kernel::{DeviceId, EntryId, PersonId, ResourceId, SessionId, TenantId};
use carekeep_ledger::Outcome;
use carekeep_policy::{Aal, Principal, RoleSet};

use crate::{
    AccessError, Caller, Origin, Vault,
    audit::{Grounds, reference},
};

/// What was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A password.
    Password,
    /// A code of an authenticator app.
    Totp,
    /// A passkey.
    Passkey,
    /// A recovery code.
    RecoveryCode,
    /// The word of the tenant's identity provider.
    Federated,
}

macro_rules! account_events {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// What happened to an account.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum AccountEvent {
            /// A factor was proven on the way in.
            SignIn(Factor),
            /// A factor was proven again, in a session that is in.
            StepUp(Factor),
            $($(#[$doc])* $name,)+
        }

        impl AccountEvent {
            /// The action's name in the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::SignIn(Factor::Password) => "sign_in_by_password",
                    Self::SignIn(Factor::Totp) => "sign_in_by_totp",
                    Self::SignIn(Factor::Passkey) => "sign_in_by_passkey",
                    Self::SignIn(Factor::RecoveryCode) => "sign_in_by_recovery_code",
                    Self::SignIn(Factor::Federated) => "sign_in_by_provider",
                    Self::StepUp(Factor::Password) => "step_up_by_password",
                    Self::StepUp(Factor::Totp) => "step_up_by_totp",
                    Self::StepUp(Factor::Passkey) => "step_up_by_passkey",
                    Self::StepUp(Factor::RecoveryCode) => "step_up_by_recovery_code",
                    // There is none: a provider's word makes nothing fresh.
                    Self::StepUp(Factor::Federated) => "step_up_by_provider",
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

account_events! {
    /// An invitation was used.
    AcceptInvite = "accept_invite",
    /// A password was set.
    EnrolPassword = "enrol_password",
    /// A code generator was set up.
    EnrolTotp = "enrol_totp",
    /// A passkey was registered.
    EnrolPasskey = "enrol_passkey",
    /// A passkey was taken out of use.
    RemovePasskey = "remove_passkey",
    /// Recovery codes were made.
    NewRecoveryCodes = "new_recovery_codes",
    /// A session ended because its person said so.
    SignOut = "sign_out",
    /// A recovery of the account was redeemed: the factors and sessions before it are gone.
    RedeemRecovery = "redeem_recovery",
    /// The person ended a recovery that others had begun.
    CancelRecovery = "cancel_recovery",
    /// A device was confirmed.
    ConfirmDevice = "confirm_device",
    /// A device was forgotten, and its sessions ended.
    ForgetDevice = "forget_device",
    /// Other sessions of the person ended because the person said so.
    EndSessions = "end_sessions",
    /// An app was opened from a chart.
    LaunchApp = "launch_app",
    /// An app was let in.
    AllowApp = "allow_app",
    /// An app got an access token.
    IssueToken = "issue_token",
    /// What an app was allowed was withdrawn.
    WithdrawApp = "withdraw_app",
    /// The person was linked to an account of the tenant's identity provider.
    LinkProvider = "link_provider",
    /// The person was unlinked from it.
    UnlinkProvider = "unlink_provider",
}

/// Whose account it is, and in which session it happened.
#[derive(Debug, Clone, Copy)]
pub struct AccountHolder {
    /// The tenant.
    pub tenant: TenantId,
    /// The person.
    pub person: PersonId,
    /// The session.
    pub session: SessionId,
    /// What the session is worth now.
    pub aal: Aal,
    /// The device, when it is known.
    pub device: Option<DeviceId>,
}

impl Vault {
    /// Records what happened to an account, or was tried and refused; more that is said about it is sealed. When this returns `Ok`, the entry is durable.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant or the audit is away: then the session is told to nobody.
    pub async fn record_account_event(
        &self,
        holder: AccountHolder,
        origin: Origin,
        (event, done): (AccountEvent, bool),
        said: Option<&str>,
    ) -> Result<EntryId, AccessError> {
        let AccountHolder { tenant, person, session, aal, device } = holder;
        let cell = self.cell(tenant).await?;
        let now = self.clock().now();
        // Never leaves this function: it is who acts, for the entry, and may do nothing.
        let principal = Principal {
            tenant,
            tenant_kind: cell.kind(),
            person,
            suspended: false,
            patient: None,
            roles: RoleSet::EMPTY,
        };
        let caller = Caller {
            principal,
            session,
            aal,
            factor_at: now,
            device,
            device_confirmed: false,
            device_required: false,
            tenant_active: true,
            origin,
            now,
            signed_out_at: now,
            app: None,
            provisioner: false,
        };
        let outcome = if done { Outcome::Permitted } else { Outcome::Denied };
        let about = (vec![reference(ResourceId::from_uuid(person.as_uuid()), 0)], Vec::new());
        let what = (event.as_str(), "Account");
        self.gate(&cell, &caller).enter(what, about, (outcome, Grounds::default()), said).await
    }
}
