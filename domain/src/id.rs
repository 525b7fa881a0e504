//! Ids are types: passing one for another does not compile. All are UUIDv7, so they sort by creation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = Uuid))]
        pub struct $name(pub Uuid);

        impl $name {
            /// The last eight digits: what people see and say. Unique enough to recognise, never used to look up.
            pub fn short(&self) -> String {
                let digits = self.0.simple().to_string();
                digits[digits.len() - 8..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(WorkspaceId);
id!(UserId);
id!(ApiKeyId);
id!(RunnerId);
id!(RepositoryId);
id!(TaskId);
id!(AttemptId);
id!(ArtifactId);
id!(WorkflowId);
id!(WorkflowRunId);
id!(SavedViewId);
id!(ApprovalId);
id!(ApprovalRuleId);
id!(EndpointId);
id!(PullId);
