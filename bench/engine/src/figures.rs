//! What was measured, beside what else was, as a table and as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub unit: String,
    pub ours: f64,
    pub peers: BTreeMap<String, f64>,
    pub limit: Option<f64>,
    pub goal: Option<f64>,
    pub better: Better,
    pub met: Option<bool>,
}

/// On which side of the goal a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Above,
    Below,
}

impl Figure {
    pub fn above(name: impl Into<String>, unit: &str, ours: f64) -> Self {
        Self::new(name.into(), unit, ours, Better::Above)
    }

    pub fn below(name: impl Into<String>, unit: &str, ours: f64) -> Self {
        Self::new(name.into(), unit, ours, Better::Below)
    }

    fn new(name: String, unit: &str, ours: f64, better: Better) -> Self {
        Self { name, unit: unit.to_owned(), ours, peers: BTreeMap::new(), limit: None, goal: None, better, met: None }
    }

    pub fn beside(mut self, peers: impl IntoIterator<Item = (&'static str, f64)>, limit: f64) -> Self {
        self.peers.extend(peers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self.limit = Some(limit);
        self
    }

    /// As [`beside`](Self::beside), where there is no limit to compare with.
    pub fn beside_one(mut self, name: &str, value: f64) -> Self {
        self.peers.insert(name.to_owned(), value);
        self
    }

    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.met = Some(match self.better {
            Better::Above => self.ours >= goal,
            Better::Below => self.ours < goal,
        });
        self
    }

    pub fn best_peer(&self) -> f64 {
        self.peers.values().copied().fold(0.0, f64::max)
    }

    fn cells(&self) -> [String; 6] {
        let peers: Vec<_> = self.peers.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        let goal = self.goal.map(|goal| match self.better {
            Better::Above => format!("at least {}", number(goal)),
            Better::Below => format!("under {}", number(goal)),
        });
        [
            self.name.clone(),
            format!("{} {}", number(self.ours), self.unit),
            peers.join(", "),
            self.limit.map(number).unwrap_or_default(),
            goal.unwrap_or_default(),
            self.met.map(|met| if met { "met" } else { "MISSED" }).unwrap_or_default().to_owned(),
        ]
    }
}

pub fn table(figures: &[Figure]) -> String {
    let head = ["figure", "measured", "peers", "limit", "goal", ""].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(figures.iter().map(Figure::cells)).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let lines = rows.iter().map(|row| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("   ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Three figures that mean something; more are noise.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// The value below which this part of them lies; nothing is not a figure.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * part).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<_> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([percentile(&mut values, 0.5), percentile(&mut values, 0.99), percentile(&mut values, 1.0)], [50.0, 99.0, 100.0]);
        assert!(percentile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn a_goal_is_met_on_its_own_side() {
        assert_eq!(Figure::above("rate", "tasks/s", 10.0).goal(10.0).met, Some(true));
        assert_eq!(Figure::below("time", "ms", 10.0).goal(10.0).met, Some(false));
        assert_eq!(Figure::below("time", "ms", f64::NAN).goal(10.0).met, Some(false), "what could not be measured is not met");
    }
}
