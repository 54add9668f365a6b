//! What the AWS client makes of answers that moto never gives: key states, throttling, silence. A canned server speaks.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use carekeep_keys::{
    AwsKms, AwsKmsOptions, KeyError, KeyPurpose, KeyRef, KeyService, StaticCredentials, Wrapped,
};
use support::{context, tenant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Answers every request alike; `None` never answers. Counts requests.
struct Canned {
    kms: AwsKms,
    requests: Arc<AtomicU32>,
}

impl Canned {
    async fn start(answer: Option<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = AwsKmsOptions::new("eu-central-1");
        options.endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let (access_key_id, secret_access_key) = ("test".to_owned(), "test".to_owned());
        options.credentials = Some(StaticCredentials { access_key_id, secret_access_key });
        options.attempt_timeout = Duration::from_millis(300);
        options.operation_timeout = Duration::from_millis(1_500);
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), Arc::clone(&counter)));
            }
        });
        Self { kms: AwsKms::connect(options).await, requests }
    }

    async fn unwrap(&self) -> (KeyError, u32) {
        let context = context(tenant(1), KeyPurpose::Data, 1);
        let error = self.kms.unwrap(&key(), &Wrapped(vec![1, 2, 3]), &context).await.err().unwrap();
        (error, self.requests.load(Ordering::SeqCst))
    }
}

async fn serve(mut stream: TcpStream, answer: Option<(u16, String)>, requests: Arc<AtomicU32>) {
    let mut seen = Vec::new();
    while read_request(&mut stream, &mut seen).await.is_some() {
        requests.fetch_add(1, Ordering::SeqCst);
        let Some((status, body)) = &answer else {
            std::future::pending::<()>().await;
            return;
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n");
        let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request with a `Content-Length` and takes it out of `seen`.
async fn read_request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    loop {
        let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
            if seen.len() >= end + 4 + length {
                seen.drain(..end + 4 + length);
                return Some(());
            }
        }
        if stream.read_buf(seen).await.ok()? == 0 {
            return None;
        }
    }
}

fn key() -> KeyRef {
    KeyRef("arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-4333-8444-555555555555".to_owned())
}

fn exception(code: &str, message: &str) -> Option<(u16, String)> {
    Some((400, format!(r#"{{"__type":"{code}","message":"{message}"}}"#)))
}

#[tokio::test]
async fn key_states_of_aws_become_ours_without_a_second_try() {
    let pending = format!("{} is pending deletion.", key());
    for (code, message, expected) in [
        ("DisabledException", "off", KeyError::Disabled(key())),
        ("KMSInvalidStateException", pending.as_str(), KeyError::PendingDeletion(key())),
        ("NotFoundException", "no", KeyError::NotFound(key())),
        ("InvalidCiphertextException", "no", KeyError::WrongContext),
        ("IncorrectKeyException", "no", KeyError::WrongContext),
    ] {
        let server = Canned::start(exception(code, message)).await;
        assert_eq!(server.unwrap().await, (expected, 1), "{code}");
    }
    for code in ["AccessDeniedException", "UnrecognizedClientException"] {
        let (error, requests) = Canned::start(exception(code, "no")).await.unwrap().await;
        assert!(matches!(&error, KeyError::Refused(text) if text.contains(code)), "{error}");
        assert_eq!(requests, 1);
    }
    let (error, _) =
        Canned::start(exception("KMSInvalidStateException", "is creating.")).await.unwrap().await;
    assert!(matches!(error, KeyError::Refused(_)));
}

#[tokio::test]
async fn cancelling_what_is_not_pending_says_so() {
    let server = Canned::start(exception("KMSInvalidStateException", "key is not pending deletion.")).await;
    let error = server.kms.cancel_deletion(&key()).await.unwrap_err();
    assert!(error.to_string().contains("nothing to cancel"), "{error}");
}

#[tokio::test]
async fn k6_throttling_and_failures_are_retryable_and_tried_at_most_twice() {
    let throttled = exception("ThrottlingException", "slow down");
    let internal = Some((500, r#"{"__type":"KMSInternalException","message":"x"}"#.to_owned()));
    for answer in [throttled, internal, Some((502, "<html>".to_owned()))] {
        let (error, requests) = Canned::start(answer.clone()).await.unwrap().await;
        assert!(error.is_retryable(), "{answer:?} {error:?}");
        assert!(requests <= 2, "{answer:?} {requests} requests");
    }
}

#[tokio::test]
async fn k6_a_service_that_is_silent_or_gone_is_unavailable_within_its_time_limit() {
    let started = Instant::now();
    let (error, requests) = Canned::start(None).await.unwrap().await;
    assert!(error.is_retryable() && requests <= 2, "{error:?} {requests}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = AwsKmsOptions::new("eu-central-1");
    options.endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    options.credentials =
        Some(StaticCredentials { access_key_id: "a".to_owned(), secret_access_key: "b".to_owned() });
    drop(listener);
    let error = AwsKms::connect(options).await.describe(&key()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_a_whole_key_is_refused() {
    for body in ["{}", r#"{"Plaintext":"AAAA"}"#] {
        let (error, _) = Canned::start(Some((200, body.to_owned()))).await.unwrap().await;
        assert!(matches!(error, KeyError::Refused(_)), "{body} {error:?}");
    }
    let whole = format!(r#"{{"Plaintext":"{}="}}"#, "A".repeat(43));
    let server = Canned::start(Some((200, whole))).await;
    let context = context(tenant(1), KeyPurpose::Data, 1);
    assert!(server.kms.unwrap(&key(), &Wrapped(vec![1]), &context).await.is_ok(), "control");
}
