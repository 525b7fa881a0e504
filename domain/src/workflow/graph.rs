//! Where the steps of a graph are drawn: from left to right in layers, so that every edge points to the right.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A graph laid out. Columns and rows count from 0; how large a cell is, is up to whoever draws it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drawing {
    pub columns: usize,
    pub rows: usize,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    pub key: String,
    pub column: usize,
    pub row: usize,
}

/// From one node to another, by their places in the list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Edge {
    pub from: usize,
    pub to: usize,
}

/// How often the rows are put in order of their neighbours.
const ROUNDS: usize = 4;

/// Lays out a graph without cycles. An edge of a key that is not there is left out; what a cycle holds stays in the first column.
pub fn draw(keys: &[String], edges: &[(String, String)]) -> Drawing {
    let places: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(index, key)| (key.as_str(), index)).collect();
    let edges: Vec<_> =
        edges.iter().filter_map(|(from, to)| Some(Edge { from: *places.get(from.as_str())?, to: *places.get(to.as_str())? })).collect();
    let columns = columns(keys.len(), &edges);
    let rows = rows(&columns, &edges);
    let nodes = keys.iter().enumerate().map(|(index, key)| Node { key: key.clone(), column: columns[index], row: rows[index] });
    let most = |values: &[usize]| values.iter().max().map_or(0, |most| most + 1);
    Drawing { columns: most(&columns), rows: most(&rows), nodes: nodes.collect(), edges }
}

/// The length of the longest way to each node.
fn columns(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut open = vec![0; count];
    let mut next = vec![vec![]; count];
    for edge in edges {
        open[edge.to] += 1;
        next[edge.from].push(edge.to);
    }
    let mut columns = vec![0; count];
    let mut ready: Vec<_> = (0..count).filter(|index| open[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        for to in &next[index] {
            columns[*to] = columns[*to].max(columns[index] + 1);
            open[*to] -= 1;
            if open[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    columns
}

/// A row for each node: those of a column in the order of the middle of what they follow, which keeps crossings few.
fn rows(columns: &[usize], edges: &[Edge]) -> Vec<usize> {
    let count = columns.iter().max().map_or(0, |most| most + 1);
    let mut layers = vec![vec![]; count];
    for (index, column) in columns.iter().enumerate() {
        layers[*column].push(index);
    }
    let mut before = vec![vec![]; columns.len()];
    let mut after = vec![vec![]; columns.len()];
    for edge in edges {
        before[edge.to].push(edge.from);
        after[edge.from].push(edge.to);
    }
    let mut rows = vec![0; columns.len()];
    let number = |layer: &[usize], rows: &mut Vec<usize>| layer.iter().enumerate().for_each(|(row, index)| rows[*index] = row);
    layers.iter().for_each(|layer| number(layer, &mut rows));
    for round in 0..ROUNDS {
        let neighbours = if round % 2 == 0 { &before } else { &after };
        for layer in &mut layers {
            // sums and counts instead of fractions: the order is exact
            let middle = |index: usize| match neighbours[index].len() {
                0 => (rows[index] as u64) << 20,
                many => (neighbours[index].iter().map(|other| rows[*other] as u64).sum::<u64>() << 20) / many as u64,
            };
            let mut ordered: Vec<_> = layer.iter().map(|index| (middle(*index), *index)).collect();
            ordered.sort_unstable();
            *layer = ordered.into_iter().map(|(_, index)| index).collect();
            number(layer, &mut rows);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(edges: &[(&str, &str)]) -> Drawing {
        let mut keys: Vec<String> = edges.iter().flat_map(|(from, to)| [(*from).to_owned(), (*to).to_owned()]).collect();
        keys.sort();
        keys.dedup();
        let edges: Vec<_> = edges.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        draw(&keys, &edges)
    }

    #[test]
    fn every_edge_points_to_the_right() {
        let drawing = drawn(&[("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("d", "c")]);
        assert!(drawing.edges.iter().all(|edge| drawing.nodes[edge.from].column < drawing.nodes[edge.to].column));
        assert_eq!((drawing.columns, drawing.rows), (3, 2));
    }

    #[test]
    fn no_two_share_a_cell() {
        let edges: Vec<(String, String)> =
            (0..300).flat_map(|n: usize| (1..3).map(move |k| (format!("n{n}"), format!("n{}", n * 2 + k)))).collect();
        let mut keys: Vec<String> = edges.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).collect();
        keys.sort();
        keys.dedup();
        let drawing = draw(&keys, &edges);
        let mut cells: Vec<_> = drawing.nodes.iter().map(|node| (node.column, node.row)).collect();
        cells.sort_unstable();
        cells.dedup();
        assert_eq!(cells.len(), keys.len());
    }

    #[test]
    fn parallel_lines_do_not_cross() {
        let drawing = drawn(&[("a1", "z1"), ("a2", "y2"), ("a3", "x3")]);
        let row = |key: &str| drawing.nodes.iter().find(|node| node.key == key).unwrap().row;
        assert_eq!([row("z1"), row("y2"), row("x3")], [row("a1"), row("a2"), row("a3")]);
    }
}
