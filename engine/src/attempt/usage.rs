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
    /// As agents tell it with the end of a turn: of the whole session.
    cost_micros: Option<u64>,
    steps: u64,
    /// As agents tell it with each answer.
    told_steps: u64,
    told_micros: Option<u64>,
    /// By the workspace's prices.
    priced_steps: u64,
    priced_micros: Option<u64>,
    unpriced: Vec<String>,
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
        let nothing = Self {
            workspace_id,
            attempt_id,
            by_judges,
            models: vec![],
            input: 0,
            cached: 0,
            output: 0,
            cost_micros: None,
            steps: 0,
            told_steps: 0,
            told_micros: None,
            priced_steps: 0,
            priced_micros: None,
            unpriced: vec![],
            under_way: None,
            is_incomplete: false,
        };
        let named = |models: &[String]| models.iter().map(|model| model.chars().take(MODEL).collect()).collect();
        match kind {
            SessionEventKind::Started { model, .. } => {
                Some(Self { models: named(model.as_slice()), under_way: (!by_judges).then_some(1), ..nothing })
            }
            // each judge is told once what it is to do, also one that then says nothing
            SessionEventKind::Prompt { .. } if by_judges => Some(Self { under_way: Some(1), ..nothing }),
            SessionEventKind::Usage { .. } => {
                let of = Usage::of_step(kind)?;
                Some(Self {
                    models: named(&of.models),
                    input: of.input.min(COUNTED_MAX),
                    cached: of.cached.min(COUNTED_MAX),
                    output: of.output.min(COUNTED_MAX),
                    steps: of.steps,
                    told_steps: of.told_steps,
                    told_micros: of.cost_micros,
                    priced_steps: of.priced_steps,
                    priced_micros: of.priced_micros,
                    unpriced: named(&of.unpriced),
                    is_incomplete: of.is_incomplete,
                    ..nothing
                })
            }
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
        for (names, more) in [(&mut self.models, later.models), (&mut self.unpriced, later.unpriced)] {
            for name in more {
                if names.len() < MODELS_MAX && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let sum = |one: u64, other: u64| one.saturating_add(other).min(COUNTED_MAX);
        let sum_if_any = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(sum(one, other)),
            (one, other) => one.or(other),
        };
        self.input = sum(self.input, later.input);
        self.cached = sum(self.cached, later.cached);
        self.output = sum(self.output, later.output);
        self.steps = sum(self.steps, later.steps);
        self.told_steps = sum(self.told_steps, later.told_steps);
        self.told_micros = sum_if_any(self.told_micros, later.told_micros);
        self.priced_steps = sum(self.priced_steps, later.priced_steps);
        self.priced_micros = sum_if_any(self.priced_micros, later.priced_micros);
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
pub(super) async fn add(conn: &mut PgConnection, told: impl Iterator<Item = Told>) -> Result<()> {
    let rows = added(told);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into attempt_usage as known (workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, steps, told_steps,
                                             told_micros, priced_steps, priced_micros, unpriced, under_way, is_incomplete)
         select workspace_id, attempt_id, by_judges, models, input, cached, output, cost_micros, steps, told_steps, told_micros, priced_steps,
                priced_micros, unpriced, under_way, is_incomplete
         from jsonb_to_recordset($1) as said (workspace_id uuid, attempt_id uuid, by_judges bool, models text[], input bigint, cached bigint,
                                              output bigint, cost_micros bigint, steps bigint, told_steps bigint, told_micros bigint,
                                              priced_steps bigint, priced_micros bigint, unpriced text[], under_way int, is_incomplete bool)
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
           steps = known.steps + excluded.steps, told_steps = known.told_steps + excluded.told_steps,
           told_micros = case when known.told_micros is null or excluded.told_micros is null
                              then coalesce(known.told_micros, excluded.told_micros)
                              else least(known.told_micros + excluded.told_micros, $3) end,
           priced_steps = known.priced_steps + excluded.priced_steps,
           priced_micros = case when known.priced_micros is null or excluded.priced_micros is null
                                then coalesce(known.priced_micros, excluded.priced_micros)
                                else least(known.priced_micros + excluded.priced_micros, $3) end,
           unpriced = array(select model from unnest(known.unpriced || excluded.unpriced) with ordinality as named (model, place)
                            group by model order by min(place) limit $2),
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
fn added(told: impl Iterator<Item = Told>) -> Vec<Told> {
    let mut rows = BTreeMap::<_, Told>::new();
    for one in told {
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
                  used.steps, used.told_steps, used.told_micros, used.priced_steps, used.priced_micros, used.unpriced,
                  is_incomplete or ended_at is not null and coalesce(under_way > 0, false) as "is_incomplete!"
           from attempt_usage used join attempt on attempt.id = used.attempt_id
           where task_id = $1 order by number, by_judges"#,
        task.0
    )
    .fetch_all(conn)
    .await?;
    let mut found: Vec<(AttemptId, AttemptUsage)> = vec![];
    for row in rows {
        let (of_turns, of_steps) = (row.cost_micros.map(i64::unsigned_abs), row.told_micros.map(i64::unsigned_abs));
        let cost_micros = match (of_turns, of_steps) {
            // an agent that tells both has told the same twice; of judges each tells its own
            (Some(turns), Some(steps)) => Some(if row.by_judges { turns.saturating_add(steps) } else { turns.max(steps) }),
            (turns, steps) => turns.or(steps),
        };
        let steps = row.steps.unsigned_abs();
        let usage = Usage {
            models: row.models,
            input: row.input.unsigned_abs(),
            cached: row.cached.unsigned_abs(),
            output: row.output.unsigned_abs(),
            cost_micros,
            steps,
            told_steps: if of_turns.is_some() { steps } else { row.told_steps.unsigned_abs() },
            priced_steps: row.priced_steps.unsigned_abs(),
            priced_micros: row.priced_micros.map(i64::unsigned_abs),
            unpriced: row.unpriced,
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
    use domain::{CostSource, StepCost, session::SessionEnd};

    use super::*;

    #[test]
    fn a_session_is_added_up_and_its_judges_apart() {
        let (workspace, attempt) = (WorkspaceId(uuid::Uuid::nil()), AttemptId(uuid::Uuid::nil()));
        let cost = |micros| Some(StepCost { micros, source: CostSource::Workspace });
        let step = |input, cost| {
            let model = Some("m".into());
            SessionEventKind::Usage { model, input, cached: 1, cache_written: 0, output: 2, cost, is_part: false }
        };
        let used = |input| step(input, cost(4));
        let ended = |cost| SessionEventKind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(cost) };
        let judge = |event| SessionEventKind::Judge { round: 1, check: 1, event: Box::new(event) };
        let prompt = || SessionEventKind::Prompt { text: "Judge".into(), by: None };
        let kinds = [
            used(10),
            ended(5),
            used(u64::MAX),
            ended(7),
            judge(prompt()),
            judge(step(3, None)),
            judge(ended(2)),
            judge(prompt()),
            judge(ended(4)),
            judge(prompt()),
            SessionEventKind::Message { text: "Done".into() },
        ];
        let told: Vec<_> = kinds.iter().filter_map(|kind| Told::of(workspace, attempt, kind)).collect();
        let rows = added(told.into_iter());
        let figures: Vec<_> = rows.iter().map(|row| (row.input, row.cached, row.output, row.cost_micros, row.under_way)).collect();
        assert_eq!(figures, [(COUNTED_MAX, 2, 4, Some(7), Some(0)), (3, 1, 2, Some(6), Some(1))]);
        assert_eq!((rows[0].models.as_slice(), rows[0].is_incomplete), (["m".to_owned()].as_slice(), false));
        let priced: Vec<_> = rows.iter().map(|row| (row.steps, row.priced_steps, row.priced_micros)).collect();
        assert_eq!(priced, [(2, 2, Some(8)), (1, 0, None)]);
        assert_eq!([&rows[0].unpriced, &rows[1].unpriced], [&vec![], &vec!["m".to_owned()]]);
        let left_out = Told::of(workspace, attempt, &SessionEventKind::LeftOut { events: 2 }).unwrap();
        assert!(left_out.is_incomplete);
    }
}
