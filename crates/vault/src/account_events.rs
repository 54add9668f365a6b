//! Entries for what happens to accounts: signing in, factors, sessions. Policy does not decide on these: identity's state
//! machine does, and the ledger says what it did. The session that came of it is told to nobody before that is durable.

use carekeep_kernel::{DeviceId, EntryId, PersonId, ResourceId, SessionId, TenantId};
use carekeep_ledger::Outcome;
use carekeep_policy::{Aal, Principal, RoleSet};

use crate::{
    AccessError, Caller, Origin, Vault,
    audit::{Grounds, reference},
    gate::Gate,
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
}

/// What happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountEvent {
    /// An invitation was used.
    AcceptInvite,
    /// A factor was proven on the way in.
    SignIn(Factor),
    /// A factor was proven again, in a session that is in.
    StepUp(Factor),
    /// A password was set.
    EnrolPassword,
    /// A code generator was set up.
    EnrolTotp,
    /// A passkey was registered.
    EnrolPasskey,
    /// A passkey was taken out of use.
    RemovePasskey,
    /// Recovery codes were made.
    NewRecoveryCodes,
    /// A session ended because its person said so.
    SignOut,
    /// A recovery of the account was redeemed: the factors and sessions before it are gone.
    RedeemRecovery,
    /// The person ended a recovery that others had begun.
    CancelRecovery,
    /// A device was confirmed.
    ConfirmDevice,
    /// A device was forgotten, and its sessions ended.
    ForgetDevice,
    /// Other sessions of the person ended because the person said so.
    EndSessions,
    /// An app was let in.
    AllowApp,
    /// What an app was allowed was withdrawn.
    WithdrawApp,
}

impl AccountEvent {
    /// The action's name in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AcceptInvite => "accept_invite",
            Self::SignIn(Factor::Password) => "sign_in_by_password",
            Self::SignIn(Factor::Totp) => "sign_in_by_totp",
            Self::SignIn(Factor::Passkey) => "sign_in_by_passkey",
            Self::SignIn(Factor::RecoveryCode) => "sign_in_by_recovery_code",
            Self::StepUp(Factor::Password) => "step_up_by_password",
            Self::StepUp(Factor::Totp) => "step_up_by_totp",
            Self::StepUp(Factor::Passkey) => "step_up_by_passkey",
            Self::StepUp(Factor::RecoveryCode) => "step_up_by_recovery_code",
            Self::EnrolPassword => "enrol_password",
            Self::EnrolTotp => "enrol_totp",
            Self::EnrolPasskey => "enrol_passkey",
            Self::RemovePasskey => "remove_passkey",
            Self::NewRecoveryCodes => "new_recovery_codes",
            Self::SignOut => "sign_out",
            Self::RedeemRecovery => "redeem_recovery",
            Self::CancelRecovery => "cancel_recovery",
            Self::ConfirmDevice => "confirm_device",
            Self::ForgetDevice => "forget_device",
            Self::EndSessions => "end_sessions",
            Self::AllowApp => "allow_app",
            Self::WithdrawApp => "withdraw_app",
        }
    }
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
        let principal = Principal { tenant, person, suspended: false, patient: None, roles: RoleSet::EMPTY };
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
            app: None,
        };
        let gate: Gate<'_> = self.gate(&cell, &caller);
        let outcome = if done { Outcome::Permitted } else { Outcome::Denied };
        let about = (vec![reference(ResourceId::from_uuid(person.as_uuid()), 0)], Vec::new());
        gate.enter((event.as_str(), "Account"), about, (outcome, Grounds::default()), said).await
    }
}
