//! `kaiwa serve --upstream` as its user meets it.

mod common;

use std::fs;

use common::{Bench, run, serve};

#[test]
fn a_conversation_goes_through_a_relay_with_a_key_of_its_own() {
    let bench = Bench::new();
    // "sesame" is the upstream's key, "other" that of the relay's client.
    let upstream = serve(&bench, &["--keys-env", "GOOD_KEYS"]);
    let folder = bench.path("configuration").join("kaiwa");
    fs::create_dir_all(&folder).unwrap();
    let configuration = format!(
        "[relay]\nupstream = \"ws://{}/v1\"\nkey_env = \"REAL_KEY\"\nstate = \"spent.json\"\n\
         [relay.keys.app]\nkey = \"of-the-app\"\n",
        upstream.address
    );
    fs::write(folder.join("config.toml"), configuration).unwrap();
    let key = "sesame";
    let relay = bench.relay(&["--record", "log"], key);

    let mut talk = bench.kaiwa();
    talk.env("APP_KEY", "of-the-app").args([
        "talk",
        "--json",
        "--url",
        &format!("ws://{}/v1", relay.address),
        "--model",
        "kaiwa",
        "--key-env",
        "APP_KEY",
        "--text",
        "Hello",
        "--output",
        "reply.wav",
    ]);
    let ended = run(&mut talk).with_code(0);
    assert_eq!(ended.texts("assistant_done"), ["You said: Hello"]);

    talk.env("APP_KEY", "of-nobody");
    run(&mut talk).with_code(4);
    drop(relay);

    let state = fs::read_to_string(bench.path("spent.json")).unwrap();
    assert!(state.contains("\"app\""), "{state}");
    let logs: Vec<String> = fs::read_dir(bench.path("log"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let [log] = &logs[..] else {
        panic!("{logs:?}");
    };
    assert!(log.contains("response.done"), "{log}");
    assert!(!log.contains(key) && !log.contains("of-the-app"), "{log}");
}

#[test]
fn mistakes_are_said_before_anything_is_relayed() {
    let bench = Bench::new();
    let local = "ws://127.0.0.1:1/v1";
    for (arguments, part) in [
        (vec!["--upstream", "gpu"], "scheme"),
        (
            vec![
                "--upstream",
                "ws://api.test/v1",
                "--upstream-key-env",
                "REAL_KEY",
            ],
            "unencrypted",
        ),
        (
            vec!["--upstream", local, "--upstream-key-env", "NO_SUCH_KEY"],
            "NO_SUCH_KEY",
        ),
        (
            vec!["--upstream", local, "--keys-env", "NO_KEYS"],
            "NO_KEYS",
        ),
        (
            vec!["--upstream", local, "--listen", "0.0.0.0:0"],
            "spend the upstream's money",
        ),
        (
            vec![
                "--upstream",
                local,
                "--upstream-key-env",
                "REAL_KEY",
                "--keys-env",
                "REAL_KEY",
            ],
            "no client is to have",
        ),
        (vec!["--upstream", local, "--prices", "missing"], "missing"),
    ] {
        let mut serve = bench.kaiwa();
        serve.arg("serve").args(&arguments);
        if !arguments.contains(&"--listen") {
            serve.args(["--listen", "127.0.0.1:0"]);
        }
        let ended = run(serve.env("REAL_KEY", "open-barley")).with_code(2);
        assert!(
            ended.stderr.contains(part),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("open-barley"), "{}", ended.stderr);
    }
}

#[test]
fn no_key_goes_to_an_upstream_it_was_not_named_for() {
    let bench = Bench::new();
    let folder = bench.path("configuration").join("kaiwa");
    fs::create_dir_all(&folder).unwrap();
    let configuration = "[relay]\nupstream = \"wss://first.test\"\nkey_env = \"FIRST\"\n";
    fs::write(folder.join("config.toml"), configuration).unwrap();
    let mut serve = bench.kaiwa();
    serve.args(["serve", "--upstream", "ws://127.0.0.1:1/v1"]);
    let ended = run(serve.env("FIRST", "open-barley")).with_code(2);
    let part = "names another server than the one whose key";
    assert!(ended.stderr.contains(part), "{}", ended.stderr);
}

#[test]
fn the_bench_finds_no_event_changed() {
    let bench = Bench::new();
    let mut command = bench.kaiwa();
    command.args(["bench", "relay", "--rounds", "20", "--json"]);
    let ended = run(&mut command).with_code(0);
    let [report] = &ended.events()[..] else {
        panic!("{}", ended.stdout);
    };
    assert_eq!(report["differing"], 0);
    assert_eq!(report["kinds"].as_array().unwrap().len(), 2);
}
