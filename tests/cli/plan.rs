use std::path::Path;

use crate::support::{Place, run};

#[test]
fn shipped_plans_are_valid() {
    for name in ["matrix", "levels", "binary"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plans/{name}.toml"));
        let ran = run(["plan", "check", path.to_str().unwrap(), "--json"]).ends_with(0);
        assert_eq!(ran.json()["valid"], true);
        let ran = run(["plan", "check", path.to_str().unwrap()]).ends_with(0);
        assert!(ran.out.contains(&format!("name = \"{name}\"")), "{}", ran.out);
    }
}

#[test]
fn faults_are_named_with_line_and_reason() {
    let place = Place::new();
    let matrix =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/matrix.toml")).unwrap();
    let broken = place
        .file("broken.toml", matrix.replace("width = 3", "width = 0").replace("minimum = 10", "minimum = 2"));
    let ran = run(["plan", "check", &broken, "--json"])
        .ends_with(3)
        .says("unlimited width goes with `unilevel` alone");
    let errors = ran.json()["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 2, "{errors}");
    assert_eq!(
        (&errors[0]["field"], &errors[1]["field"]),
        (&"placement.rule".into(), &"ladder.live.rank[1].minimum".into())
    );
    assert!(errors[0]["line"].is_u64());
    run(["plan", "check", &place.text("missing.toml")]).ends_with(1).says("cannot read");
    // Every command that would use the file refuses it.
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &place.text("data"), "--plan", &broken])
        .ends_with(3)
        .says("unlimited width");
    assert!(!place.path("data").exists());
}

#[test]
fn a_plan_of_the_former_form_is_told_in_that_of_today() {
    let place = Place::new();
    let former = place.file(
        "former.toml",
        "name = \"old\"\ncurrency = { code = \"EUR\", exponent = 2 }\n\
         placement = { width = 2, rule = \"left\" }\n[[bonus]]\ntrigger = \"referral\"\n\
         amounts = [\"10.00\", 0.5]\n[[bonus]]\ntrigger = \"purchase\"\nbasis_points = [1000, 250, 5]\n\
         [ranks]\nrule = \"thresholds\"\nbasis = \"direct\"\n[[rank]]\nname = \"Pair\"\n\
         minimum = 2\nreward = \"1\"\n",
    );
    let ran = run(["plan", "check", &former, "--json"]).ends_with(3);
    let json = ran.json();
    let error = &json["errors"][0];
    assert_eq!((&error["line"], &error["field"]), (&4.into(), &"bonus".into()));
    // What is printed can be pasted as it is.
    let reason = error["reason"].as_str().unwrap();
    let (_, pasted) = reason.split_once(":\n\n").unwrap();
    let today = place.file("today.toml", pasted);
    let checked = run(["plan", "check", &today, "--json"]).ends_with(0).json();
    assert_eq!(checked["canonical"].as_str().unwrap().trim_end(), pasted);
    for part in [
        "money = [\"10.00\", \"0.50\"]",
        "percent = [\"10\", \"2.5\", \"0.05\"]",
        "basis = \"direct\"",
        "reward = \"1.00\"",
    ] {
        assert!(pasted.contains(part), "{pasted}");
    }
    // What else is wrong with it is told at the lines of the file.
    let wrong = std::fs::read_to_string(&former)
        .unwrap()
        .replace("minimum = 2", "minimum = 0")
        .replace("1000", "1.5");
    let wrong = place.file("wrong.toml", wrong);
    let json = run(["plan", "check", &wrong, "--json"]).ends_with(3).json();
    let errors: Vec<_> = json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].as_u64(), error["field"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [(Some(4), "bonus"), (Some(9), "bonus[1].basis_points[0]"), (Some(15), "rank[0].minimum")]
    );
}
