//! AWS KMS (or anything that speaks its wire protocol): one symmetric key per tenant, found by alias.
//!
//! Retries are bounded and every call has a time limit, because the caller holds a request open meanwhile; what waits
//! longer becomes [`KeyError::Unavailable`]. Permissions needed: see `docs/adr/0003-envelope.md`.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::{
    Client,
    config::Credentials,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{DataKeySpec, KeyState as AwsState, Tag},
};
use carekeep_kernel::{TenantId, Timestamp};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    KeyContext, KeyDescription, KeyError, KeyFuture, KeyRef, KeyService, KeyState, Wrapped,
    lifecycle::nothing_to_cancel, service::check_window,
};

/// Fixed credentials; for tests and for stores that are not AWS. No `Debug`: the secret is one.
#[derive(Clone)]
pub struct StaticCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
}

/// How to reach the service.
#[derive(Clone)]
pub struct AwsKmsOptions {
    /// The AWS region, for example `eu-central-1`: a tenant's key lives where its data lives.
    pub region: String,
    /// Another address than AWS's own, for example that of a VPC endpoint or of a test server.
    pub endpoint_url: Option<String>,
    /// Fixed credentials; `None` takes the default chain (environment, profile, web identity, instance role).
    pub credentials: Option<StaticCredentials>,
    /// Keys get the alias `alias/<prefix>/<tenant id>`. One prefix per installation in an account.
    pub alias_prefix: String,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time for one attempt.
    pub attempt_timeout: Duration,
    /// Longest time for a call with all its attempts.
    pub operation_timeout: Duration,
    /// Attempts of one call, the first included; the SDK waits with jitter between them.
    pub max_attempts: u32,
}

impl AwsKmsOptions {
    /// Usual options for `region`: 1 s to connect, 2 s an attempt, 4 s a call, two attempts (BARS K6: no retry storm).
    #[must_use]
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            endpoint_url: None,
            credentials: None,
            alias_prefix: "carekeep".to_owned(),
            connect_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(4),
            max_attempts: 2,
        }
    }
}

/// A client of AWS KMS. Cheap to share by reference; connections are pooled inside.
///
/// The SDK keeps the decrypted answer in its own buffers for the time of a call; those are not wiped. What this type
/// hands out is.
pub struct AwsKms {
    client: Client,
    alias_prefix: String,
}

impl AwsKms {
    /// A client; asks nobody yet.
    pub async fn connect(options: AwsKmsOptions) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(options.connect_timeout)
            .operation_attempt_timeout(options.attempt_timeout)
            .operation_timeout(options.operation_timeout)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(options.max_attempts.max(1));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(options.region))
            .timeout_config(timeouts)
            .retry_config(retries);
        if let Some(url) = options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(fixed) = options.credentials {
            let (id, secret) = (fixed.access_key_id, fixed.secret_access_key);
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "carekeep"));
        }
        Self { client: Client::new(&loader.load().await), alias_prefix: options.alias_prefix }
    }

    fn alias(&self, tenant: TenantId) -> String {
        format!("alias/{}/{tenant}", self.alias_prefix)
    }

    /// The key behind `name` (id, ARN or alias); `None` if there is none.
    async fn find(&self, name: &KeyRef) -> Result<Option<KeyDescription>, KeyError> {
        let answer = match self.client.describe_key().key_id(name.as_str()).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match translate(&error, name) {
                    KeyError::NotFound(_) => Ok(None),
                    other => Err(other),
                };
            }
        };
        let metadata = answer.key_metadata.ok_or_else(|| unusable_answer("DescribeKey without metadata"))?;
        let due = metadata.deletion_date.map_or(Timestamp::from_micros(i64::MAX), timestamp);
        let state = match metadata.key_state {
            Some(AwsState::Enabled) => KeyState::Enabled,
            Some(AwsState::Disabled) => KeyState::Disabled,
            Some(AwsState::PendingDeletion) => KeyState::PendingDeletion(due),
            _ => KeyState::Unusable,
        };
        let key = KeyRef(metadata.arn.unwrap_or(metadata.key_id));
        Ok(Some(KeyDescription { key, state }))
    }

    async fn create_or_find(&self, tenant: TenantId) -> Result<KeyRef, KeyError> {
        let alias = KeyRef(self.alias(tenant));
        let key = match self.find(&alias).await? {
            Some(found) => usable_later(found)?,
            None => self.create_with_alias(tenant, &alias).await?,
        };
        // Yearly rotation of the backing key; asking twice is harmless. A disabled key refuses and keeps what it had.
        match self.client.enable_key_rotation().key_id(bare_id(&key)).send().await {
            Ok(_) => Ok(key),
            Err(error) => match translate(&error, &key) {
                KeyError::Disabled(_) => Ok(key),
                other => Err(other),
            },
        }
    }

    async fn create_with_alias(&self, tenant: TenantId, alias: &KeyRef) -> Result<KeyRef, KeyError> {
        let tag = |name: &str, value: String| {
            Tag::builder()
                .tag_key(name)
                .tag_value(value)
                .build()
                .map_err(|_| unusable_answer("tag without value"))
        };
        let made = self
            .client
            .create_key()
            .description(format!("Carekeep tenant {tenant}"))
            .tags(tag("carekeep:tenant", tenant.to_string())?)
            .tags(tag("carekeep:installation", self.alias_prefix.clone())?)
            .send()
            .await
            .map_err(|error| translate(&error, alias))?;
        let made = made.key_metadata.ok_or_else(|| unusable_answer("CreateKey without metadata"))?;
        let key = KeyRef(made.arn.unwrap_or(made.key_id));
        let aliasing =
            self.client.create_alias().alias_name(alias.as_str()).target_key_id(key.as_str()).send().await;
        let Err(error) = aliasing else { return Ok(key) };
        if error.code() != Some("AlreadyExistsException") {
            return Err(translate(&error, alias));
        }
        // Somebody else was faster: use theirs and give ours back. A key that never wrapped anything harms nobody.
        self.schedule(&key, 7).await?;
        match self.find(alias).await? {
            Some(found) => usable_later(found),
            None => Err(KeyError::Unavailable("the tenant's alias came and went: try again".into())),
        }
    }

    async fn schedule(&self, key: &KeyRef, days: u32) -> Result<Timestamp, KeyError> {
        check_window(days)?;
        let days = i32::try_from(days).unwrap_or(30);
        let call = self.client.schedule_key_deletion().key_id(bare_id(key)).pending_window_in_days(days);
        let answer = call.send().await.map_err(|error| translate(&error, key))?;
        answer
            .deletion_date
            .map(timestamp)
            .ok_or_else(|| unusable_answer("ScheduleKeyDeletion without a date"))
    }
}

impl KeyService for AwsKms {
    fn create_key(&self, tenant: TenantId) -> KeyFuture<'_, KeyRef> {
        Box::pin(self.create_or_find(tenant))
    }

    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyRef,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, (Zeroizing<[u8; 32]>, Wrapped)> {
        Box::pin(async move {
            let mut call = self.client.generate_data_key().key_id(key.as_str()).key_spec(DataKeySpec::Aes256);
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            let answer = call.send().await.map_err(|error| translate(&error, key))?;
            let plain = plain_key(answer.plaintext)?;
            let wrapped = answer
                .ciphertext_blob
                .ok_or_else(|| unusable_answer("GenerateDataKey without ciphertext"))?;
            Ok((plain, Wrapped(wrapped.into_inner())))
        })
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a KeyRef,
        wrapped: &'a Wrapped,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, Zeroizing<[u8; 32]>> {
        Box::pin(async move {
            // Naming the key makes KMS refuse a blob that another key made, instead of following the blob.
            let blob = Blob::new(wrapped.0.as_slice());
            let mut call = self.client.decrypt().key_id(key.as_str()).ciphertext_blob(blob);
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            plain_key(call.send().await.map_err(|error| translate(&error, key))?.plaintext)
        })
    }

    fn disable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        Box::pin(async move {
            let answer = self.client.disable_key().key_id(bare_id(key)).send().await;
            answer.map(|_| ()).map_err(|error| translate(&error, key))
        })
    }

    fn enable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        Box::pin(async move {
            let answer = self.client.enable_key().key_id(bare_id(key)).send().await;
            answer.map(|_| ()).map_err(|error| translate(&error, key))
        })
    }

    fn schedule_deletion<'a>(&'a self, key: &'a KeyRef, days: u32) -> KeyFuture<'a, Timestamp> {
        Box::pin(self.schedule(key, days))
    }

    fn cancel_deletion<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        Box::pin(async move {
            let answer = self.client.cancel_key_deletion().key_id(bare_id(key)).send().await;
            answer.map(|_| ()).map_err(|error| match error.code() {
                // Pending deletion is the only state in which this call does something.
                Some("KMSInvalidStateException") => nothing_to_cancel(key),
                _ => translate(&error, key),
            })
        })
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, KeyDescription> {
        Box::pin(async move { self.find(key).await?.ok_or_else(|| KeyError::NotFound(key.clone())) })
    }
}

/// The id in an ARN. Calls that manage a key stay inside its account and region (KMS refuses them across accounts), so the
/// id says as much as the ARN; moto 5.2 answers 500 to an ARN here.
fn bare_id(key: &KeyRef) -> &str {
    key.as_str().rsplit_once(":key/").map_or(key.as_str(), |(_, id)| id)
}

/// A key that exists may be handed out in every state but one.
fn usable_later(found: KeyDescription) -> Result<KeyRef, KeyError> {
    match found.state {
        KeyState::PendingDeletion(_) => Err(KeyError::PendingDeletion(found.key)),
        _ => Ok(found.key),
    }
}

fn plain_key(blob: Option<Blob>) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = blob.ok_or_else(|| unusable_answer("no plaintext"))?.into_inner();
    let mut key = Zeroizing::new([0_u8; 32]);
    let fits = bytes.len() == key.len();
    if fits {
        key.copy_from_slice(&bytes);
    }
    bytes.zeroize();
    if fits { Ok(key) } else { Err(unusable_answer("a data key that is not 32 bytes long")) }
}

fn unusable_answer(what: &str) -> KeyError {
    KeyError::Refused(format!("unusable answer ({what}): check that the endpoint speaks AWS KMS"))
}

/// An SDK error in our words. The SDK's own message names requests and keys, never key bytes; only its code is passed on.
fn translate<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, key: &KeyRef) -> KeyError {
    let SdkError::ServiceError(service) = error else {
        return match error {
            SdkError::ConstructionFailure(_) => KeyError::Refused(
                "the request could not be built: check region, credentials and key reference".into(),
            ),
            SdkError::TimeoutError(_) => KeyError::Unavailable("time limit".into()),
            SdkError::DispatchFailure(_) => KeyError::Unavailable("no connection or no credentials".into()),
            _ => KeyError::Unavailable("unreadable answer".into()),
        };
    };
    match service.err().code().unwrap_or("") {
        "DisabledException" => KeyError::Disabled(key.clone()),
        // Sent for several states; which one is said in the message only.
        "KMSInvalidStateException" => match service.err().message() {
            Some(text) if text.contains("is pending deletion") => KeyError::PendingDeletion(key.clone()),
            _ => KeyError::Refused(format!(
                "the state of key {key} does not allow this: look at it in the KMS console"
            )),
        },
        "NotFoundException" => KeyError::NotFound(key.clone()),
        "InvalidCiphertextException" | "IncorrectKeyException" => KeyError::WrongContext,
        code @ ("AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidArnException"
        | "ValidationException"
        | "InvalidKeyUsageException"
        | "UnsupportedOperationException"
        | "MalformedPolicyDocumentException"
        | "TagException") => KeyError::Refused(format!(
            "{code} for key {key}: check the key policy, the credentials and the reference"
        )),
        // Throttling, internal failures, dependency timeouts, limits, and whatever is new: worth another try.
        "" => KeyError::Unavailable("unknown error".into()),
        code => KeyError::Unavailable(code.to_owned()),
    }
}

fn timestamp(date: aws_sdk_kms::primitives::DateTime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(date.as_nanos() / 1_000).unwrap_or(i64::MAX))
}
