//! The graph of a workflow or a run as SVG. Built as text, since a thousand steps make a view for each too dear; everything that
//! somebody wrote goes through [`escape_into`].

use std::fmt::Write as _;

use domain::workflow::{Drawing, Node};

use crate::components::{Icon, Tone, html::escape_into};

/// Units of the drawing; one is a pixel when nothing is zoomed.
const NODE: (i64, i64) = (200, 52);
/// From the beginning of a cell to that of the next.
const CELL: (i64, i64) = (264, 76);
/// Around the whole, with room for the outline of what has the focus.
const MARGIN: i64 = 14;
/// Cut titles end with an ellipsis; the tool tip has all of it.
const TITLE_WIDTH: usize = 22;
/// With more steps than this the keyboard's way is the table beside the graph, which has the same links.
const REACHABLE_NODES: usize = 60;

/// What a node stands for. Stays the same while its state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub title: String,
    /// As in [`super::kind`].
    pub kind: String,
    pub href: String,
}

/// How a node stands: colour, shape and word say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub tone: Tone,
    pub shape: Icon,
    pub word: String,
}

/// Width and height of the drawing.
pub fn size(drawing: &Drawing) -> (i64, i64) {
    let along = |cells: usize, cell: i64, node: i64| (cells.max(1) as i64 - 1) * cell + node + 2 * MARGIN;
    (along(drawing.columns, CELL.0, NODE.0), along(drawing.rows, CELL.1, NODE.1))
}

/// The whole drawing. Labels and marks are in the order of its nodes.
pub fn svg(drawing: &Drawing, labels: &[Label], marks: &[Mark]) -> String {
    let (width, height) = size(drawing);
    let mut svg = String::with_capacity(drawing.nodes.len() * 700);
    _ = write!(svg, "<svg class=\"c-graph__svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">");
    edges(drawing, &mut svg);
    let is_reachable = drawing.nodes.len() <= REACHABLE_NODES;
    for ((node, label), mark) in drawing.nodes.iter().zip(labels).zip(marks) {
        one_node(node, label, mark, is_reachable, &mut svg);
    }
    svg.push_str("</svg>");
    svg
}

/// All edges are one path: every edge ends to the right, and so do all arrow heads.
fn edges(drawing: &Drawing, svg: &mut String) {
    svg.push_str("<path class=\"c-graph__edges\" d=\"");
    for edge in &drawing.edges {
        let (Some(from), Some(to)) = (drawing.nodes.get(edge.from), drawing.nodes.get(edge.to)) else { continue };
        let (from, to) = (place(from), place(to));
        let (x1, y1, x2, y2) = (from.0 + NODE.0, from.1 + NODE.1 / 2, to.0 - 1, to.1 + NODE.1 / 2);
        let bend = ((x2 - x1) / 2).clamp((CELL.0 - NODE.0) * 2 / 3, NODE.0);
        _ = write!(svg, "M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}m-6 -4l6 4l-6 4", x1 + bend, x2 - bend);
    }
    svg.push_str("\"/>");
}

fn place(node: &Node) -> (i64, i64) {
    (MARGIN + node.column as i64 * CELL.0, MARGIN + node.row as i64 * CELL.1)
}

fn one_node(node: &Node, label: &Label, mark: &Mark, is_reachable: bool, svg: &mut String) {
    let (x, y) = place(node);
    svg.push_str("<a class=\"c-graph__node\" href=\"");
    escape_into(svg, &label.href);
    _ = write!(svg, "\" data-tone=\"{}\" aria-label=\"", mark.tone.name());
    escape_into(svg, &spoken(label, mark));
    svg.push_str(if is_reachable { "\"><title>" } else { "\" tabindex=\"-1\"><title>" });
    escape_into(svg, &label.title);
    _ = write!(svg, "</title><path class=\"c-graph__box\" transform=\"translate({x} {y})\" d=\"{}\"/>", outline(&label.kind));
    _ = write!(
        svg,
        "<path class=\"c-graph__mark\" transform=\"translate({} {})\" d=\"{}\"/>",
        x + 14,
        y + (NODE.1 - 16) / 2,
        mark.shape.path()
    );
    _ = write!(svg, "<text class=\"c-graph__title\" x=\"{}\" y=\"{}\">", x + 38, y + 22);
    escape_into(svg, &cut(&label.title));
    _ = write!(svg, "</text><text class=\"c-graph__word\" x=\"{}\" y=\"{}\">", x + 38, y + 39);
    escape_into(svg, &mark.word);
    svg.push_str("</text></a>");
}

/// What a node says to those who do not see it.
pub fn spoken(label: &Label, mark: &Mark) -> String {
    format!("{}: {}", label.title, mark.word)
}

/// Work is a box, a gate has points, several at once are a pile, and what holds steps of its own has a double edge.
fn outline(kind: &str) -> &'static str {
    match kind {
        "approval" | "event" | "wait" => "M14 0H186L200 26L186 52H14L0 26Z",
        "each" | "candidates" => "M7 0H193a7 7 0 0 1 7 7V45a7 7 0 0 1-7 7H7a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7ZM8 0V-5H205V44H200",
        "workflow" => "M7 0H193a7 7 0 0 1 7 7V45a7 7 0 0 1-7 7H7a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7ZM6 1V51M194 1V51",
        _ => "M7 0H193a7 7 0 0 1 7 7V45a7 7 0 0 1-7 7H7a7 7 0 0 1-7-7V7a7 7 0 0 1 7-7Z",
    }
}

/// So much of a title as fits; characters of East Asia take the room of two.
fn cut(title: &str) -> String {
    let width = |character: char| if character >= '\u{1100}' { 2 } else { 1 };
    if title.chars().map(width).sum::<usize>() <= TITLE_WIDTH {
        return title.to_owned();
    }
    let mut left = TITLE_WIDTH - 1;
    let mut cut: String = title
        .chars()
        .take_while(|character| {
            let fits = width(*character) <= left;
            left = left.saturating_sub(width(*character));
            fits
        })
        .collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use domain::workflow::draw;

    use super::*;

    #[test]
    fn what_somebody_wrote_stays_text() {
        let drawing = draw(&["a".into(), "b".into()], &[("a".into(), "b".into())]);
        let label = |title: &str| Label { title: title.into(), kind: "command".into(), href: "/x?a=1&b=\"2\"".into() };
        let mark = Mark { tone: Tone::Busy, shape: Icon::Ring, word: "<i>".into() };
        let svg = svg(&drawing, &[label("<script>alert(1)</script>"), label("b")], &[mark.clone(), mark]);
        assert!(!svg.contains("<script") && !svg.contains("<i>"), "{svg}");
        assert!(svg.contains("href=\"/x?a=1&amp;b=&quot;2&quot;\""), "{svg}");
        assert_eq!((svg.matches("c-graph__node").count(), svg.matches('C').count()), (2, 1));
        assert_eq!(size(&drawing), (264 + 200 + 28, 52 + 28));
    }

    #[test]
    fn long_titles_are_cut() {
        assert_eq!(cut("Build"), "Build");
        assert_eq!(cut("A title of twenty-two!"), "A title of twenty-two!");
        assert_eq!(cut("A title that is longer than that"), "A title that is longe…");
        assert_eq!(cut("A title that is a new one"), "A title that is a new…");
        assert_eq!(cut("日本語日本語日本語日本語"), "日本語日本語日本語日…");
    }
}
