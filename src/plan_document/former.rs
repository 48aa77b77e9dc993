//! The form that plan files had before version 4 of the data format: `[[bonus]]`, `[ranks]`, `[[rank]]`.
//! It is refused, with the same plan in the form of today.

use super::node::Node;

/// Fields of the former form at the top of a plan.
const FORMER: [&str; 3] = ["bonus", "ranks", "rank"];

/// Returns the first field of the document that shows that it has the former form.
pub fn former_key(document: &Node) -> Option<&'static str> {
    FORMER.into_iter().find(|name| document.field(name).is_some())
}

/// Returns what a field of the former form is called today.
pub(super) fn hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "bonus" => "is now `trigger`, each with `id` and `rate`",
        "ranks" => "is now `ladder.live`",
        "rank" => "is now `ladder.live.rank`",
        "trigger" => "is now `id`",
        "amounts" => "is now `rate.money`, in units of the currency",
        "basis_points" => "is now `rate.percent`",
        _ => return None,
    })
}

/// Returns a document of the former form in today's. What was wrong with it is wrong with the result.
pub fn renewed(document: &Node) -> Node {
    let Node::Table(fields) = document else { return document.clone() };
    let mut renewed = Vec::new();
    let mut ladder = Vec::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("bonus", Node::List(bonuses)) => {
                let triggers = bonuses.iter().map(trigger).collect();
                renewed.push(("trigger".to_owned(), Node::List(triggers)));
            }
            ("ranks", Node::Table(rule)) => ladder.extend(rule.iter().cloned()),
            ("rank", ranks) => ladder.push((name.clone(), ranks.clone())),
            _ => renewed.push((name.clone(), value.clone())),
        }
    }
    if !ladder.is_empty() {
        let live = Node::Table(vec![("live".to_owned(), Node::Table(ladder))]);
        renewed.push(("ladder".to_owned(), live));
    }
    Node::Table(renewed)
}

fn trigger(bonus: &Node) -> Node {
    let Node::Table(fields) = bonus else { return bonus.clone() };
    let mut renewed = Vec::new();
    let mut rate = vec![("by".to_owned(), Node::Text("level".to_owned()))];
    for (name, value) in fields {
        match name.as_str() {
            "trigger" => renewed.push(("id".to_owned(), value.clone())),
            "amounts" => rate.push(("money".to_owned(), value.clone())),
            "basis_points" => rate.push(("percent".to_owned(), percents(value))),
            _ => renewed.push((name.clone(), value.clone())),
        }
    }
    renewed.push(("rate".to_owned(), Node::Table(rate)));
    Node::Table(renewed)
}

fn percents(basis_points: &Node) -> Node {
    let Node::List(rates) = basis_points else { return basis_points.clone() };
    let percent = |rate: &Node| match rate {
        Node::Whole(digits) => digits.parse().map_or_else(
            |_| rate.clone(),
            |basis_points| Node::Text(super::decimal::print_percent(basis_points)),
        ),
        // Basis points were whole numbers: this is refused, by its unit.
        Node::Real(digits) | Node::Text(digits) => Node::Text(format!("{digits} basis points")),
        other => other.clone(),
    };
    Node::List(rates.iter().map(percent).collect())
}

/// Returns what a path of today's form was in the former one.
pub fn former_path(path: &str) -> String {
    let path = path.replacen("ladder.live.rank", "rank", 1).replacen("ladder.live", "ranks", 1);
    match path.strip_prefix("trigger") {
        Some(rest) => {
            let rest = rest.replacen("].id", "].trigger", 1).replacen("].rate.money", "].amounts", 1);
            format!("bonus{}", rest.replacen("].rate.percent", "].basis_points", 1))
        }
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_back() {
        for (path, former) in [
            ("name", "name"),
            ("trigger[3].id", "bonus[3].trigger"),
            ("trigger[3].rate.money[1]", "bonus[3].amounts[1]"),
            ("trigger[0].rate.percent", "bonus[0].basis_points"),
            ("trigger[0].tree", "bonus[0].tree"),
            ("ladder.live.tree", "ranks.tree"),
            ("ladder.live.rank[7].minimum", "rank[7].minimum"),
        ] {
            assert_eq!(former_path(path), former);
        }
    }
}
