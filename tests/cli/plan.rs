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
        (&"placement.rule".into(), &"rank[1].minimum".into())
    );
    assert!(errors[0]["line"].is_u64());
    run(["plan", "check", &place.text("missing.toml")]).ends_with(1).says("cannot read");
    // Every command that would use the file refuses it.
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &place.text("data"), "--plan", &broken])
        .ends_with(3)
        .says("unlimited width");
    assert!(!place.path("data").exists());
}
