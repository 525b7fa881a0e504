//! What attempts have used: added up as their sessions tell it, the agent's and the judges' apart.

use std::collections::BTreeMap;

use domain::{
    AttemptId, SessionEventKind, TaskId, WorkspaceId,
    usage::{AttemptUsage, COUNTED_MAX, MODELS_MAX, Usage},
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::Result;

/// Characters of a model's name.
const MODEL: usize = 200;

/// A row of `attempt_usage`, or what is added to one. Its names are those of the columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Told {
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    by_judges: bool,
    models: Vec<String>,
    input: u64,
    cached: u64,
    output: u64,
    cost_micros: Option<u64>,
    under_way: Option<i32>,
    is_incomplete: bool,
}

impl Told {
    /// Nothing when it says nothing of that.
    pub fn of(workspace_id: WorkspaceId, attempt_id: AttemptId, kind: &SessionEventKind) -> Option<Self> {
        let (by_judges, kind) = match kind {
            SessionEventKind::Judge { event, .. } => (true, &**event),
            kind => (false, kind),
        };
        let (input, cached, output, cost_micros, under_way, is_incomplete) = (0, 0, 0, None, None, false);
        let nothing =
            Self { workspace_id, attempt_id, by_judges, models: vec![], input, cached, output, cost_micros, under_way, is_incomplete };
        let models = |model: &Option<String>| model.iter().map(|model| model.chars().take(MODEL).collect()).collect();
        match kind {
            SessionEventKind::Started { model, .. } => {
                Some(Self { models: models(model), under_way: (!by_judges).then_some(1), ..nothing })
            }
            // each judge is told once what it is to do, also one that then says nothing
            SessionEventKind::Prompt { .. } if by_judges => Some(Self { under_way: Some(1), ..nothing }),
            SessionEventKind::Usage { model, input, cached, output, is_part } => Some(Self {
                models: models(model),
                input: (*input).min(COUNTED_MAX),
                cached: (*cached).min(COUNTED_MAX),
                output: (*output).min(COUNTED_MAX),
                is_incomplete: *is_part,
                ..nothing
            }),
            SessionEventKind::Ended { cost_micros, .. } => Some(Self {
                cost_micros: cost_micros.map(|cost| cost.min(COUNTED_MAX)),
                under_way: Some(if by_judges { -1 } else { 0 }),
                ..nothing
            }),
            SessionEventKind::LeftOut { .. } => Some(Self { is_incomplete: true, ..nothing }),
            _ => None,
        }
    }

    /// What comes after it. An agent tells the cost of its whole session each time that it ends; each judge has a session of its own.
    fn add(&mut self, later: Self) {
        for model in later.models {
            if self.models.len() < MODELS_MAX && !self.models.contains(&model) {
                self.models.push(model);
            }
        }
        let sum = |one: u64, other: u64| one.saturating_add(other).min(COUNTED_MAX);
        self.input = sum(self.input, later.input);
        self.cached = sum(self.cached, later.cached);
        self.output = sum(self.output, later.output);
        self.cost_micros = match (self.cost_micros, later.cost_micros) {
            (Some(one), Some(other)) => Some(if self.by_judges { sum(one, other) } else { one.max(other) }),
            (one, other) => one.or(other),
        };
        self.under_way = match (self.under_way, later.under_way) {
            (Some(one), Some(other)) if self.by_judges => Some(one.saturating_add(other)),
            (one, other) => other.or(one),
        };
        self.is_incomplete |= later.is_incomplete;
    }
}

/// Adds it to what there is, in the order in which it was told.
pub(super) async fn add(conn: &mut PgConnection, told: impl Iterator<Item = &Told>) -> Result<()> {
    let rows = added(told);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into attempt_usage as known (workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, under_way, is_incomplete)
         select workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, under_way, is_incomplete
         from jsonb_to_recordset($1) as said (workspace_id uuid, attempt_id uuid, by_judges bool, models text[], input bigint, cached bigint,
                                              output bigint, cost_micros bigint, under_way int, is_incomplete bool)
         on conflict (attempt_id, by_judges) do update set
           models = array(select model from unnest(known.models || excluded.models) with ordinality as named (model, place)
                          group by model order by min(place) limit $2),
           input = least(known.input + excluded.input, $3), cached = least(known.cached + excluded.cached, $3),
           output = least(known.output + excluded.output, $3),
           -- least passes over what is nothing, and would say the most where no cost was told
           cost_micros = case when not known.by_judges then greatest(known.cost_micros, excluded.cost_micros)
                              when known.cost_micros is null or excluded.cost_micros is null
                              then coalesce(known.cost_micros, excluded.cost_micros)
                              else least(known.cost_micros + excluded.cost_micros, $3) end,
           under_way = case when known.by_judges then coalesce(known.under_way + excluded.under_way, known.under_way, excluded.under_way)
                            else coalesce(excluded.under_way, known.under_way) end,
           is_incomplete = known.is_incomplete or excluded.is_incomplete",
        Json(&rows) as _,
        i64::try_from(MODELS_MAX).unwrap_or(i64::MAX),
        COUNTED_MAX.cast_signed()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One row of each: no statement changes a row twice.
fn added<'a>(told: impl Iterator<Item = &'a Told>) -> Vec<Told> {
    let mut rows = BTreeMap::<_, Told>::new();
    for one in told.cloned() {
        match rows.get_mut(&(one.attempt_id.0, one.by_judges)) {
            Some(row) => row.add(one),
            None => drop(rows.insert((one.attempt_id.0, one.by_judges), one)),
        }
    }
    rows.into_values().collect()
}

/// Of the attempts of a task. One that has ended while its agent had not has used more than was told.
pub(super) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<(AttemptId, AttemptUsage)>> {
    let rows = sqlx::query!(
        r#"select used.attempt_id as "attempt_id: AttemptId", by_judges, models, used.input, used.cached, used.output, used.cost_micros,
                  is_incomplete or ended_at is not null and coalesce(under_way > 0, false) as "is_incomplete!"
           from attempt_usage used join attempt on attempt.id = used.attempt_id
           where task_id = $1 order by number, by_judges"#,
        task.0
    )
    .fetch_all(conn)
    .await?;
    let mut found: Vec<(AttemptId, AttemptUsage)> = vec![];
    for row in rows {
        let usage = Usage {
            models: row.models,
            input: row.input.unsigned_abs(),
            cached: row.cached.unsigned_abs(),
            output: row.output.unsigned_abs(),
            cost_micros: row.cost_micros.map(i64::unsigned_abs),
            is_incomplete: row.is_incomplete,
        };
        let usage = Some(usage).filter(|usage| usage.is_known() || !usage.models.is_empty());
        if found.last().is_none_or(|(attempt, _)| *attempt != row.attempt_id) {
            found.push((row.attempt_id, AttemptUsage::default()));
        }
        if let Some((_, all)) = found.last_mut() {
            if row.by_judges { all.judges = usage } else { all.agent = usage }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use domain::session::SessionEnd;

    use super::*;

    #[test]
    fn a_session_is_added_up_and_its_judges_apart() {
        let (workspace, attempt) = (WorkspaceId(uuid::Uuid::nil()), AttemptId(uuid::Uuid::nil()));
        let used = |input| SessionEventKind::Usage { model: Some("m".into()), input, cached: 1, output: 2, is_part: false };
        let ended = |cost| SessionEventKind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(cost) };
        let judge = |event| SessionEventKind::Judge { round: 1, check: 1, event: Box::new(event) };
        let prompt = || SessionEventKind::Prompt { text: "Judge".into(), by: None };
        let kinds = [
            used(10),
            ended(5),
            used(u64::MAX),
            ended(7),
            judge(prompt()),
            judge(used(3)),
            judge(ended(2)),
            judge(prompt()),
            judge(ended(4)),
            judge(prompt()),
            SessionEventKind::Message { text: "Done".into() },
        ];
        let told: Vec<_> = kinds.iter().filter_map(|kind| Told::of(workspace, attempt, kind)).collect();
        let rows = added(told.iter());
        let figures: Vec<_> = rows.iter().map(|row| (row.input, row.cached, row.output, row.cost_micros, row.under_way)).collect();
        assert_eq!(figures, [(COUNTED_MAX, 2, 4, Some(7), Some(0)), (3, 1, 2, Some(6), Some(1))]);
        assert_eq!((rows[0].models.as_slice(), rows[0].is_incomplete), (["m".to_owned()].as_slice(), false));
        let left_out = Told::of(workspace, attempt, &SessionEventKind::LeftOut { events: 2 }).unwrap();
        assert!(left_out.is_incomplete);
    }
}
