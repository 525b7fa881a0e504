//! What keeps work from the rest of the machine that it runs on.

use serde::{Deserialize, Serialize};

use crate::runner::Rooms;

/// How the attempts of a workspace run, their checks included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Isolation {
    /// In a sandbox: an attempt writes in its own folder alone and sees nothing of anybody's. Where that cannot be, it fails.
    #[default]
    Sandbox,
    /// As the user that runs the runner, with what that user can read, write and reach. The runner's machine has to allow it as well.
    None,
}

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::None => "none",
        }
    }
}

/// What a runner's machine makes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sandboxes {
    /// It makes them.
    Made,
    /// It makes none, and carries out what is to run without.
    LeftOut,
    /// It makes none, and whoever runs it lets nothing run without.
    Neither,
}

impl Sandboxes {
    /// By what a runner says of its machine. An older one does not say whether work may run without.
    pub fn of(makes_none: bool, rooms: Option<&Rooms>) -> Self {
        match (makes_none, rooms.is_none_or(|rooms| rooms.may_be_left_out)) {
            (false, _) => Self::Made,
            (true, true) => Self::LeftOut,
            (true, false) => Self::Neither,
        }
    }

    /// Whether work runs there that is to run like this. What shares the machine of others, as their guest, runs in a sandbox alone.
    pub fn carry_out(self, isolation: Isolation, is_guest: bool) -> bool {
        match self {
            Self::Made => true,
            Self::LeftOut => isolation == Isolation::None && !is_guest,
            Self::Neither => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_sandbox_is_made_only_what_wants_none_runs() {
        let rooms = |may_be_left_out| Rooms {
            memory: None,
            processes: None,
            processors: None,
            file: None,
            by_kernel: false,
            network: String::new(),
            agent_network: String::new(),
            may_be_left_out,
        };
        assert_eq!(Sandboxes::of(false, Some(&rooms(false))), Sandboxes::Made);
        assert_eq!(Sandboxes::of(true, Some(&rooms(false))), Sandboxes::Neither);
        assert_eq!((Sandboxes::of(true, Some(&rooms(true))), Sandboxes::of(true, None)), (Sandboxes::LeftOut, Sandboxes::LeftOut));
        for (sandboxes, runs) in
            [(Sandboxes::Made, [true, true, true]), (Sandboxes::LeftOut, [false, true, false]), (Sandboxes::Neither, [false, false, false])]
        {
            let ways = [(Isolation::Sandbox, false), (Isolation::None, false), (Isolation::None, true)];
            assert_eq!(ways.map(|(isolation, is_guest)| sandboxes.carry_out(isolation, is_guest)), runs, "{sandboxes:?}");
        }
    }
}
