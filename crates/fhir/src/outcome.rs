//! OperationOutcome (R4): the body of every FHIR error.

use crate::json::Json;

/// How bad an issue is (R4 value set `issue-severity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The action failed and no further checking was possible.
    Fatal,
    /// The action failed.
    Error,
    /// The action worked, with a doubt.
    Warning,
    /// Nothing is wrong.
    Information,
}

impl Severity {
    /// The code as FHIR spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

macro_rules! issue_types {
    ($($name:ident $code:literal,)+) => {
        /// What an issue is (R4 value set `issue-type`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum IssueType {
            $(#[doc = concat!("`", $code, "`.")] $name,)+
        }

        impl IssueType {
            /// Every issue type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as FHIR spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

issue_types! {
    Invalid "invalid", Structure "structure", Required "required", Value "value", Invariant "invariant",
    Security "security", Login "login", Unknown "unknown", Expired "expired", Forbidden "forbidden",
    Suppressed "suppressed", Processing "processing", NotSupported "not-supported", Duplicate "duplicate",
    MultipleMatches "multiple-matches", NotFound "not-found", Deleted "deleted", TooLong "too-long",
    CodeInvalid "code-invalid", Extension "extension", TooCostly "too-costly", BusinessRule "business-rule",
    Conflict "conflict", Transient "transient", LockError "lock-error", NoStore "no-store",
    Exception "exception", Timeout "timeout", Incomplete "incomplete", Throttled "throttled",
    Informational "informational",
}

/// One issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// What it is.
    pub kind: IssueType,
    /// What happened and what to do; ids and element names only, never a value.
    pub diagnostics: String,
    /// FHIRPath of the element, for example `Patient.name[0].given`.
    pub expression: Vec<String>,
}

/// An OperationOutcome in the making.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    issues: Vec<Issue>,
}

impl Outcome {
    /// An outcome of one error. `diagnostics` says what happened and what to do.
    #[must_use]
    pub fn error(kind: IssueType, diagnostics: impl Into<String>) -> Self {
        Self::default().with(Issue {
            severity: Severity::Error,
            kind,
            diagnostics: diagnostics.into(),
            expression: Vec::new(),
        })
    }

    /// One more issue.
    #[must_use]
    pub fn with(mut self, issue: Issue) -> Self {
        self.issues.push(issue);
        self
    }

    /// Says which element the last issue is about.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        if let Some(last) = self.issues.last_mut() {
            last.expression.push(expression.into());
        }
        self
    }

    /// The issues.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The resource. R4 asks for one issue at least: an empty outcome gets an informational one.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut issues: Vec<Json> = self.issues.iter().map(Issue::to_json).collect();
        if issues.is_empty() {
            issues.push(Json::object([
                ("severity", Json::string(Severity::Information.as_str())),
                ("code", Json::string(IssueType::Informational.as_str())),
            ]));
        }
        Json::object([("resourceType", Json::string("OperationOutcome")), ("issue", Json::Array(issues))])
    }

    /// The resource as compact JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.to_json().to_vec()
    }
}

impl Issue {
    fn to_json(&self) -> Json {
        let mut issue = Json::object([
            ("severity", Json::string(self.severity.as_str())),
            ("code", Json::string(self.kind.as_str())),
            ("diagnostics", Json::string(&self.diagnostics)),
        ]);
        if let (false, Some(object)) = (self.expression.is_empty(), issue.as_object_mut()) {
            let expressions = self.expression.iter().map(|text| Json::string(text)).collect();
            object.set("expression", Json::Array(expressions));
        }
        issue
    }
}
