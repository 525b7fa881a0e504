//! The start page in one look at the database.

use domain::{Actor, Overview, Permission, TaskStateName, overview::StateCount};

use crate::{Engine, Result, runner, task::query};

const ACTIVE: i64 = 20;
const ENDED: i64 = 10;

impl Engine {
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let counted = sqlx::query!(
            r#"select state, count(*) as "tasks!" from task where workspace_id = (select current_workspace()) group by state"#
        )
        .fetch_all(&mut *tx)
        .await?;
        let tasks_in = |state| counted.iter().find(|row| row.state == state).map_or(0, |row| row.tasks);
        let counts = TaskStateName::ALL.map(|state| StateCount { state, tasks: tasks_in(state) }).to_vec();
        let active = query::active_ids(&mut tx, ACTIVE).await?;
        let active = query::summaries(&mut tx, &active).await?;
        let ended = query::ended_ids(&mut tx, ENDED).await?;
        let ended = query::summaries(&mut tx, &ended).await?;
        let now = tx.now();
        let runners = runner::store::list(&mut tx, now, None).await?;
        tx.commit(Overview { counts, active, ended, runners }).await
    }
}
