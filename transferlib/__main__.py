"""The command ``transferlib``: what is here, a report on your own data, and a saved model's answers."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from transferlib.errors import UserError

# Plain text: rich, which typer would draw boxes with, takes a third of the time that --help needs.
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What is here, a report on your own data, and a saved model's answers.",
)


@app.command("list")
def list_() -> None:
    """Backbones, data sets and weights, and what is here."""
    from transferlib.backbones import weights
    from transferlib.datasets.named import EMBEDDED
    from transferlib.runs.cache import leftovers

    print("Weights (fetched on first use, checked by SHA-256)")
    for line in weights.status():
        print(f"  {line.name:22} {line.kind:9} {line.bytes / 1e6:6.0f} MB  {line.licence:14} {line.state}")
    print("\nBackbones\n  image and text weights above, small-cnn (from scratch only), any timm name (from its hub)")
    print("\nData sets")
    for name in EMBEDDED:
        print(f"  {name:22} embedded")
    print("  torchvision:NAME       any torchvision data set\n  folder:PATH            a sub-folder of images a class")
    if old := leftovers():
        size = sum(file.stat().st_size for folder in old for file in folder.rglob("*") if file.is_file()) / 1e6
        folders = " ".join(map(str, old))
        print(f"\n{size:.0f} MB of results of an earlier release are read by nothing: you may delete {folders}")


@app.command(short_help="Class and probability of each image or text.")
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model, or the photo lab's head.json.")],
    items: Annotated[list[str], typer.Argument(help="Image files or texts; with --csv one folder or table.")],
    csv: Annotated[Path | None, typer.Option(help="Write a row for each file or row to this file.")] = None,
    text: Annotated[str, typer.Option(help="Column of a table that holds the texts, or the files.")] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of a table that is not UTF-8, as windows-1252.")] = "",
) -> None:
    """Class and probability of each image or text; exit status 1 when one could not be read."""
    from transferlib.datasets.found import printable
    from transferlib.own_data.lab_head import load_head
    from transferlib.own_data.saved import load_model

    saved = load_head(model) if model.is_file() else load_model(model)
    if csv is not None:
        from transferlib.own_data.answers import write_answers

        if len(items) != 1:
            raise UserError(
                f"--csv takes one folder or table, and {len(items)} were given: put the files into one folder."
            )
        count, unreadable, cut = write_answers(saved, items[0], csv, progress=True, column=text, encoding=encoding)
        long = f", {cut} longer than the model reads" if cut else ""
        what = "files" if Path(items[0]).is_dir() else "rows"
        print(f"{count} {what}, {unreadable} of them unreadable{long}: {csv}")
        raise typer.Exit(1 if unreadable else 0)
    table = saved.predict(items)
    for _, row in table.iterrows():
        said = [row["class"] or "unreadable"] + ([f"{row['probability']:.3f}"] if row["class"] else [])
        print("\t".join([printable(row["item"]), *said, *filter(None, [row.get("problem")])]))
    if bad := table["class"].eq("").sum():
        print(f"{bad} of {len(table)} could not be read.", file=sys.stderr)
        raise typer.Exit(1)


@app.command("next-labels", short_help="Which of your unlabelled examples to label first.")
def next_labels(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
    data: Annotated[Path, typer.Argument(help="A folder of files without labels, or a table of texts.")],
    count: Annotated[int, typer.Option(help="How many to choose.")] = 20,
    csv: Annotated[Path | None, typer.Option(help="Write the list to this file, to fill in the labels.")] = None,
    text: Annotated[str, typer.Option(help="Column of a table that holds the texts.")] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of a table that is not UTF-8, as windows-1252.")] = "",
) -> None:
    """Which unlabelled examples to label first: the model is unsure of them, and they are unlike one another."""
    from transferlib.datasets.found import printable
    from transferlib.own_data.saved import load_model
    from transferlib.own_data.unlabelled import to_label

    table, said = to_label(load_model(model), data, count, text, progress=True, encoding=encoding)
    if csv is not None:
        try:
            table.to_csv(csv, index=False, errors="backslashreplace")
        except OSError as error:
            raise UserError(f"{str(csv)!r} cannot be written ({error.strerror}): choose another file.") from None
    for example, label, probability in table.itertuples(index=False):
        print(f"{printable(example)}\t{label}?\t{probability:.3f}")
    print(said, file=sys.stderr)


@app.command(short_help="A saved model as an ONNX file, checked against PyTorch.")
def export(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
    onnx: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """A saved model as one ONNX file, checked against PyTorch before it is kept."""
    from transferlib.own_data.export import export as write

    print(f"{onnx}: {write(model, onnx)}")


@app.command(short_help="A saved model behind HTTP on this machine.")
def serve(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
) -> None:
    """A saved model behind HTTP on this machine: GET /health, POST /predict."""
    from transferlib.own_data.serve import serve as start

    start(model, host, port)


@app.command(short_help="From labelled data to a decision.")
def report(
    data: Annotated[Path, typer.Argument(help="A folder of labelled images, a CSV of images, or a CSV of texts.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("report"),
    profile: Annotated[str, typer.Option(help="How much may be spent: smoke, cpu or gpu.")] = "cpu",
    seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    executor: Annotated[str, typer.Option(help="local, or ray for a cluster.")] = "local",
    text: Annotated[str, typer.Option(help="Column of a table that holds the texts.")] = "",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "",
    file: Annotated[str, typer.Option(help="Column of the image files.")] = "",
    group: Annotated[str, typer.Option(help="Column of what belongs together, as a patient.")] = "",
    split: Annotated[str, typer.Option(help="Column of train, validation and test.")] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of a table that is not UTF-8, as windows-1252.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be used, and stop.")] = False,
    cost: Annotated[str, typer.Option(help='What errors cost, "true:called=5"; others cost 1.')] = "",
) -> None:
    """From labelled data to a decision: report.html, metrics.json and a model to keep."""
    columns = {"text": text, "label": label, "file": file, "group": group, "split": split}
    if dry_run:
        from transferlib.own_data.preview import planned

        print("\n".join(planned(data, profile, columns, encoding)))
        return
    from transferlib.own_data.report import report as write

    done = write(data, out, profile=profile, seed=seed, device=device, executor=executor, columns=columns,
                 encoding=encoding, cost=cost)  # fmt: skip
    print(f"The report: {done}")


def main() -> None:
    """Run a command; a mistake is one sentence, and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows escapes instead of a traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as ended:
        dashed = "--" not in sys.argv and any(word.startswith("-") for word in sys.argv[2:])
        if ended.code == 2 and sys.argv[1] == "predict" and dashed:
            print("A text that begins with a dash goes after --, as in: predict MODEL -- '-1 never'", file=sys.stderr)
        raise
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        print(f"{error}: set HOME, or TRANSFERLIB_CACHE to a folder of yours.", file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print("There is not enough memory: use fewer or smaller items at a time.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
