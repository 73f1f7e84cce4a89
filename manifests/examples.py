"""An example of every command, shown in its help; a test holds each against the command's own options."""

EXAMPLES: dict[str, dict[str, str]] = {
    "hdvila-pipeline": {
        "run": "run run.yaml --set balance.total=100",
        "init": "init folder --out run.yaml",
        "demo": "demo --out out/demo",
        "config": "config run.yaml",
        "doctor": "doctor run.yaml",
        "estimate": "estimate run.yaml --cores 64 --gbit 10",
        "debug": "debug run.yaml media dQw4w9WgXcQ",
        "status": "status out/demo",
        "pause": "pause out/demo",
        "resume": "resume out/demo",
        "identity": "identity s3://bucket/hdvila here --pause",
        "rates": "rates out/demo --kind page=20 --most page=60",
        "why": "why dQw4w9WgXcQ --out out/demo",
        "retry": "retry out/demo --reason rate_limited",
        "audit": "audit out/demo --require 'entropy>=0.95' --require 'height_min>=720'",
        "report": "report out/demo --seed 1",
        "cut": "cut film.mp4 --spans spans.jsonl --out clips",
        "verify": "verify out/demo --workers 4",
        "remove": "remove out/demo --ids takedowns.txt --purge",
        "merge": "merge out/a out/b --out out/both --drop-duplicates",
        "export": "export out/demo --out out/release",
        "import-images": "import-images annotations.json --out out/images",
        "reshard": "reshard out/demo --out out/small --max-samples 100",
        "mini-youtube": "mini-youtube --port 8080",
        "show": "show transcript captions.en.vtt",
    },
    "hdvila-train": {
        "fit": "fit configs/train_demo.yaml --set loop.steps=20",
        "eval": "eval out/demo/train",
        "config": "config --schema",
        "convert": "convert official.pt out/converted",
        "export": "export out/demo/train out/exported",
    },
}
"""By program and command: what stands after the program's name."""
