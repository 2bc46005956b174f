"""Training runs and model versions in MLflow: records them, promotes them, and says which was champion on a date.

A version is promoted from a day on. That day is kept on the version for good, so an old night finds the model that was
champion then, whatever was promoted since. The aliases `champion`, `previous` and `challenger` are for people and other
programs; what counts are these days.

MLflow is imported when something is asked, and what it is told holds for the call only: no global tracking URI and no
active run is set, and nothing is reported to MLflow's makers.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from models.churn_model import ChurnModel
from models.errors import ModelError
from models.tracking_address import Address, TrackingError, open_database, quiet, told
from models.training_run import MODEL_FILE, NATIVE_OUTPUTS, GroupRun, TrainingRun, group_files
from models.versions import Registered, Term, Version, champion, champion_on

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
#: The most that a server takes at once.
_METRICS, _PARAMS, _VERSIONS = 1000, 100, 1000


@dataclass(frozen=True)
class Tracking:
    """A place where runs are recorded: an MLflow server, or an SQLite database as sqlite:////ABSOLUTE/FILE.

    `experiment` holds the runs, `name` is that of the registered model. Artifacts of a database lie in the folder
    `mlflow-artifacts` beside it; a server keeps its own.

    >>> Tracking("https://ann:secret@mlflow.example", "churn", "acme.churn")
    Tracking(experiment='churn', name='acme.churn', address=Address(shown='https://mlflow.example'))
    """

    uri: str = field(repr=False)
    experiment: str
    name: str
    address: Address = field(init=False)

    def __post_init__(self) -> None:
        for what, text in (("experiment", self.experiment), ("model", self.name)):
            if not _NAME.fullmatch(text):
                raise TrackingError(f"{what} {text!r}: a name in MLflow is letters, digits, '_', '-', '.'; rename it")
        object.__setattr__(self, "address", Address(self.uri))

    # Recording --------------------------------------------------------------------------------------------------------

    def record(self, run: TrainingRun) -> str:
        """Records a run, a nested run for each group, and a new version with the alias `challenger`; gives its number.

        When it fails in between, the runs are marked as failed and there is no new version.
        """
        with self._asked("the training run could not be recorded", create=True) as client:
            experiment = self._experiment(client)
            params = run.all_params()
            # The description that MLflow shows of a run; longer ones it cuts.
            notes = {"mlflow.note.content": "\n\n".join(run.notes)} if run.notes else {}
            with self._run(client, experiment, f"{params['process']} to {run.trained_to}", notes) as parent:
                _log(client, parent, run, run.everyone, params, run.files())
                for group, own in sorted(run.groups.items()):
                    nested = {"mlflow.parentRunId": parent, "group": group}
                    with self._run(client, experiment, group, nested) as child:
                        _log(client, child, run, own, {"group": group}, group_files(run.model.groups[group], own))
                version = self._register(client, experiment, parent, run)
            _write(client.set_registered_model_alias, self.name, CHALLENGER, version)
            return version

    def _experiment(self, client: MlflowClient) -> str:
        """The experiment's id; made when it is missing, with its artifacts beside a database."""
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            database = self.address.database
            folder = None if database is None else (database.parent / "mlflow-artifacts" / self.experiment).as_uri()
            try:
                return client.create_experiment(self.experiment, artifact_location=folder)
            except MlflowException:
                found = client.get_experiment_by_name(self.experiment)  # another training may have just made it
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise TrackingError(self._said(
                f"the experiment {self.experiment} cannot be used", "it was deleted, and MLflow keeps its name",
                "restore it in MLflow, or choose another name",
            ))
        return found.experiment_id

    @contextmanager
    def _run(self, client: MlflowClient, experiment: str, title: str, tags: Mapping[str, str]) -> Iterator[str]:
        """The id of a new run, which is finished at the end, or failed."""
        own = client.create_run(experiment, tags=dict(tags), run_name=title).info.run_id
        try:
            yield own
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                client.set_terminated(own, "FAILED")
            raise
        client.set_terminated(own)

    def _register(self, client: MlflowClient, experiment: str, parent: str, run: TrainingRun) -> str:
        """A new version of the registered model, made of the native model."""
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException

        logged = client.create_logged_model(experiment, name="churn", source_run_id=parent)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "model")
            _save_native(target, run, logged.model_id, parent)
            client.log_model_artifacts(logged.model_id, str(target))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=0)])
        try:
            client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.create_model_version(
            self.name, logged.artifact_location, run_id=parent, model_id=logged.model_id, await_creation_for=30,
            tags={**run.version_tags(), "checksum": _checksum(run.model.to_json())},
        )
        return str(made.version)

    # Champions --------------------------------------------------------------------------------------------------------

    def promote(self, version: int | str, from_day: date, *, at: datetime) -> None:
        """Makes a version champion for the snapshot dates from `from_day` on; `at` is now, with a time zone.

        The champion before becomes `previous`. Nothing happens when the version is champion already, so two promotions
        of one version, at once or one after the other, are one. A day before the present champion's is refused: that
        would change who was champion on dates that have passed.
        """
        what = f"version {version} of {self.name} could not be promoted"
        with self._asked(what) as client:
            known = self._known(client)
            chosen, now = self._one_of(known, version), champion(known)
            if now is None or now[0] != chosen:
                if now is not None and from_day < now[1].from_day:
                    raise TrackingError(self._said(
                        what, f"version {now[0].version} is champion from {now[1].from_day} on, after {from_day}",
                        "give that day or a later one",
                    ))
                self._begin(client, chosen, Term(from_day, at))
            if CHAMPION not in chosen.aliases:  # as well where a promotion was interrupted after its term was written
                others = [entry for entry in known if entry != chosen]
                if before := champion(others):
                    _write(client.set_registered_model_alias, self.name, PREVIOUS, str(before[0].version))
                _write(client.set_registered_model_alias, self.name, CHAMPION, str(chosen.version))
            if CHALLENGER in chosen.aliases:
                _write(client.delete_registered_model_alias, self.name, CHALLENGER)

    def rollback(self, from_day: date, *, at: datetime) -> int:
        """Makes the version `previous` champion again, for the snapshot dates from `from_day` on; gives its number.

        Dates before `from_day` keep who was champion on them. There is no `previous` afterwards, so a second rollback
        is an error instead of the way back; promote a version by its number for that.
        """
        what = f"{self.name} could not be rolled back"
        with self._asked(what) as client:
            known = self._known(client)
            now, back = champion(known), [entry for entry in known if PREVIOUS in entry.aliases]
            if now is None or not back:
                raise TrackingError(self._said(
                    what, f"no version has the alias {PREVIOUS}", "list the versions, and promote one by its number"
                ))
            if from_day < now[1].from_day:
                raise TrackingError(self._said(
                    what, f"version {now[0].version} is champion from {now[1].from_day} on, after {from_day}",
                    "give that day or a later one",
                ))
            if back[0] != now[0]:
                self._begin(client, back[0], Term(from_day, at))
            _write(client.set_registered_model_alias, self.name, CHAMPION, str(back[0].version))
            _write(client.delete_registered_model_alias, self.name, PREVIOUS)
            return back[0].version

    def champion(self, on: date) -> Registered | None:
        """The version that was champion on a snapshot date, with its model; None when there was none yet.

        See `models.versions.champion_on`. A database that does not exist yet has none, and is not made.
        """
        with self._asked(f"the champion of {self.name} could not be read") as client:
            found = champion_on(self._known(client), on)
            if found is None:
                return None
            version, term = found
            return Registered(self.name, version.version, self._model(client, version), term.from_day, version.run_id)

    def versions(self) -> tuple[Version, ...]:
        """All versions, the newest first; none when nothing was ever trained."""
        with self._asked(f"the versions of {self.name} could not be listed") as client:
            return self._known(client)

    def load(self, version: int | str) -> ChurnModel:
        """The model of a version, promoted or not."""
        with self._asked(f"version {version} of {self.name} could not be read") as client:
            return self._model(client, self._one_of(self._known(client), version))

    def _begin(self, client: MlflowClient, version: Version, term: Term) -> None:
        """Writes on a version from when on it is champion."""
        for key, value in term.tags().items():
            _write(client.set_model_version_tag, self.name, str(version.version), key, value)

    def _one_of(self, known: Sequence[Version], version: int | str) -> Version:
        """A version that exists."""
        for entry in known:
            if str(entry.version) == str(version):
                return entry
        listed = ", ".join(str(entry.version) for entry in known)
        raise TrackingError(self._said(
            f"{self.name} has no version {version}", f"it has {listed}" if listed else "no model was trained yet",
            "choose one of these" if listed else "train a model first",
        ))

    def _known(self, client: MlflowClient | None) -> tuple[Version, ...]:
        """All versions, the newest first; none where there is no database or no such model."""
        if client is None:
            return ()
        from mlflow.exceptions import MlflowException

        try:
            aliases = client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ()
            raise
        found: list[Version] = []
        token = None
        while True:
            page = client.search_model_versions(f"name='{self.name}'", max_results=_VERSIONS, page_token=token)
            for entry in page:
                number = int(entry.version)
                own = [alias for alias, of in aliases.items() if int(of) == number]
                try:
                    found.append(Version.of(number, own, entry.tags, entry.run_id))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise TrackingError(self._said(
                        f"version {number} of {self.name} cannot be understood",
                        f"its tags were changed, or another program registered it ({type(error).__name__}: {error})",
                        "delete that version in MLflow, or give this shop's model a name of its own",
                    )) from None
            token = page.token
            if not token:
                return tuple(sorted(found, key=lambda entry: -entry.version))

    def _model(self, client: MlflowClient, version: Version) -> ChurnModel:
        """The model of a version, if it is what was registered."""
        from mlflow.artifacts import download_artifacts

        uri = self.address.shown
        place = client.get_model_version_download_uri(self.name, str(version.version)).rstrip("/")
        with tempfile.TemporaryDirectory() as folder:
            stored = download_artifacts(
                f"{place}/artifacts/{MODEL_FILE}", dst_path=folder, tracking_uri=uri, registry_uri=uri
            )
            content = Path(stored).read_bytes()
        try:
            text = content.decode()
            if _checksum(text) != version.checksum:
                raise ModelError("it is not what was registered: its checksum is another")
            return ChurnModel.from_json(text)
        except (ModelError, UnicodeDecodeError) as error:
            raise TrackingError(self._said(
                f"the model of version {version.version} of {self.name} cannot be used", str(error),
                "restore the artifacts from a backup, or train and promote a new version",
            )) from None

    # MLflow itself ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _asked(self, what: str, *, create: bool = False) -> Iterator[MlflowClient | None]:
        """MLflow's client for the length of a call, None where the database does not exist and is not to be made.

        Whatever MLflow, the database or the network raise becomes a TrackingError that begins with `what`.
        """
        database = self.address.database
        if database is not None and not create and not database.exists():
            yield None
            return
        with told(self.address):
            try:
                import requests
                from mlflow import MlflowClient
                from mlflow.exceptions import MlflowException
                from sqlalchemy.exc import SQLAlchemyError
            except ImportError as error:
                raise TrackingError(self._said(what, str(error), "install mlflow, see docs/tracking.md")) from None
            try:
                with quiet():
                    if database is not None:
                        open_database(database)
                    yield MlflowClient(tracking_uri=self.address.shown, registry_uri=self.address.shown)
            except (MlflowException, SQLAlchemyError, sqlite3.Error, requests.RequestException, OSError) as error:
                raise TrackingError(self._said(what, self.address.reason(error), self._remedy(str(error)))) from None

    def _said(self, what: str, why: str, remedy: str) -> str:
        return f"MLflow at {self.address.shown}: {what}. Why: {why}. What to do: {remedy}"

    def _remedy(self, error: str) -> str:
        if "database schema" in error:
            return f"copy the database, then bring it up to date with: mlflow db upgrade {self.address.shown}"
        if self.address.database is not None:
            return "look whether the file, and the folder mlflow-artifacts beside it, can be read and written"
        return (
            "look whether the server runs, whether this is its address, and whether MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD are what it wants"
        )


def _write(call: Callable[..., None], *what: str) -> None:
    """Sets or deletes a tag or an alias, which two promotions at once may both try.

    MLflow looks whether it is there and then adds it; who comes second fails, and finds it at another try.
    """
    from mlflow.exceptions import MlflowException

    try:
        call(*what)
    except MlflowException:
        call(*what)


def _log(
    client: MlflowClient, own: str, run: TrainingRun, group: GroupRun, params: Mapping[str, str],
    contents: Mapping[str, bytes],
) -> None:
    """Params, metrics and files of one run."""
    from mlflow.entities import Metric, Param

    moment = int(run.at.timestamp() * 1000)
    metrics = [Metric(key, value, moment, step) for key, value, step in group.metrics()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(own, metrics=metrics[start:start + _METRICS])
    told = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(told), _PARAMS):
        client.log_batch(own, params=told[start:start + _PARAMS])
    with tempfile.TemporaryDirectory() as folder:
        for path, content in contents.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        client.log_artifacts(own, folder)


def _save_native(target: Path, run: TrainingRun, model_id: str, run_id: str) -> None:
    """The native model as a folder in MLflow's format: code file and JSON, with signature and an input example.

    The requirements leave this package itself out: it is private, and whoever builds an environment from them would
    get what a stranger has published under its name.
    """
    import numpy as np
    import pandas as pd
    import scipy
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.version import VERSION

    numbers = [ColSpec(DataType.double, name) for name in ("x", "t_x", "age")]
    signature = ModelSignature(
        inputs=Schema([*numbers, ColSpec(DataType.string, "group", required=False)]),
        outputs=Schema([ColSpec(DataType.double, name) for name in NATIVE_OUTPUTS]),
        params=ParamSchema([ParamSpec("horizon_days", DataType.double, float(run.model.horizon_days))]),
    )
    example = pd.DataFrame({"x": [0.0, 2.0, 10.0], "t_x": [0.0, 60.0, 400.0], "age": [30.0, 200.0, 410.0]})
    installed = {"mlflow": VERSION, "numpy": np.__version__, "pandas": pd.__version__, "scipy": scipy.__version__}
    with tempfile.TemporaryDirectory() as folder:
        code, stored = Path(folder, "native_model.py"), Path(folder, MODEL_FILE)
        code.write_text(files("models").joinpath(code.name).read_text(encoding="utf-8"), encoding="utf-8")
        stored.write_text(run.model.to_json(), encoding="utf-8")
        save_model(
            str(target), python_model=str(code), artifacts={"model": str(stored)}, signature=signature,
            input_example=example, mlflow_model=Model(run_id=run_id, model_id=model_id),
            pip_requirements=[f"{package}=={version}" for package, version in installed.items()],
            metadata={"code_version": run.code_version, "trained_to": run.trained_to.isoformat()},
        )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
