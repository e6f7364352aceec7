"""The commands about alerts: what is watched, what fired, and silence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..domain.alert import AlertTable, Monitor, MonitorTable, RetrainRules
from ..domain.command import Arg, command
from ..domain.context import CommandSet, now_ms
from ..domain.length import parse_length
from ..errors import InvalidArgument
from .retrain_choices import Folder, Frozen, Length, Target, checked_choices

__all__ = ["AlertCommands"]


class AlertCommands(CommandSet):
    """Drift and performance to alert."""

    @command("monitor", stage="monitoring", changes=True)
    def monitor(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        *,
        every: Length = "1h",
        when: Annotated[list[str] | None, Arg(metavar="RULE")] = None,
        then: Annotated[list[str] | None, Arg(choices=("alert", "retrain", "rollback"))] = None,
        to: Annotated[list[str] | None, Arg(metavar="SINK")] = None,
        pipeline: Folder = "",
        frozen: Frozen = "",
        target: Target = "",
        promote: bool = False,
        canary_for: Length = "1h",
        after_labels: Annotated[int, Arg(metavar="NUMBER")] = 0,
        retrain_every: Length = "",
        cooldown: Length = "6h",
        a_day: Annotated[int, Arg(metavar="NUMBER")] = 4,
        allow_pickle: bool = False,
    ) -> Monitor:
        """Watch a deployment: look at every window when it is over, and tell, retrain or roll back when a rule holds.

        The workspace's service does it, with or without a notebook. An alert is told of once when it begins and once
        when it is over. Monitoring a deployment again replaces its rules.

        Parameters
        ----------
        model
            A deployment or the model it serves.
        every
            The length of the windows: ``10min``, ``1h``, ``1d``. Windows begin at multiples of it (UTC).
        when
            Rules: ``psi(age) > 0.2 for 2 windows``, ``auc < 0.8``, ``estimated(accuracy) < 0.9``, ``p99 > 50ms``,
            ``error_rate > 1%``, ``missing(income) > 5%``, ``drift``, ``drift(age)``, ``drifted > 3``, ``for 6h``.
            Realised metrics wait for 30 labels in a window, and are looked at again when labels come.
        then
            What follows: ``alert`` (always), ``retrain``, ``rollback``. A retrain that is refused, because too few labels
            have come, the last one was too lately or the day's are used up, is asked for again when it may be, for as
            long as the alert stands.
        to
            Where alerts go besides the notebook, the panel and the store: ``log``, ``webhook:URL`` (signed as Standard
            Webhooks has it; the secret is in ``.mlops/monitors/webhook.secret``), ``email:ADDRESS`` (by ``MLOPS_SMTP``).
        pipeline
            For retrains: the folder of an exported pipeline; by default the version's own estimator is fitted again.
        frozen
            For retrains: a data version on which challenger and champion are compared besides the fresh rows.
        target
            For retrains: the column of truth in the training data, where it is not clear.
        promote
            For retrains: bring a better challenger in by a canary; by default it is proposed. Its guard judges failed
            requests, latency and loss; that it answers differently is what it was trained for.
        canary_for
            How long the canary must stand its guard before it becomes the champion.
        after_labels
            Retrain after so many new labels, without any alert.
        retrain_every
            Retrain so often, without any alert.
        cooldown
            The least time between two retrains.
        a_day
            The most retrains in 24 hours.
        allow_pickle
            For retrains: load a model that is stored as a pickle.

        Examples
        --------
        %mlops monitor adult-clf --every 1h --when "drift" --when "auc < 0.8 for 2 windows" --to log
        %mlops monitor adult-clf --every 1d --when "auc < 0.8" --then retrain --promote
        """
        if after_labels < 0 or a_day < 1:
            raise InvalidArgument("--after-labels takes a number from 0 on, --a-day one from 1 on.")
        rules = RetrainRules(
            pipeline=checked_choices(pipeline, canary_for, cooldown, retrain_every),
            frozen=frozen,
            target=target,
            promote=promote,
            canary_for=canary_for,
            after_labels=after_labels,
            every=retrain_every,
            cooldown=cooldown,
            a_day=a_day,
            allow_pickle=allow_pickle,
        )
        answer = self.context.call(
            "monitoring.monitor",
            name=model,
            every=every,
            rules=list(when or ()),
            then=list(then or ()) or ["alert"],
            sinks=list(to or ()),
            retrain=rules.to_dict(),
        )
        return Monitor.from_dict(answer)

    @command("monitors", stage="monitoring", changes=False)
    def monitors(self) -> MonitorTable:
        """List what is monitored, and how every rule stands.

        Examples
        --------
        %mlops monitors
        """
        return MonitorTable.from_dict(self.context.call("monitoring.monitors"))

    @command("unmonitor", stage="monitoring", changes=True)
    def unmonitor(self, model: Annotated[str, Arg(complete="deployments", metavar="MODEL")]) -> Monitor:
        """Watch a deployment no more. Its alerts stay in the store.

        Parameters
        ----------
        model
            The deployment.

        Examples
        --------
        %mlops unmonitor adult-clf
        """
        return Monitor.from_dict(self.context.call("monitoring.unmonitor", name=model))

    @command("prometheus", stage="monitoring", changes=False)
    def prometheus(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        *,
        output: Annotated[str, Arg(value="path", metavar="DIR")] = "prometheus",
    ) -> str:
        """Write what Prometheus and Grafana need to watch a monitored deployment.

        ``prometheus.yml`` scrapes its ``/metrics``, which tell requests, latency, drift, performance and how the
        monitor's rules stand; ``rules.yml`` alerts of what fires; ``dashboard.json`` is to be imported into Grafana.
        The token is not written down: Prometheus is told the file that holds it.

        Parameters
        ----------
        model
            A monitored deployment.
        output
            The folder to write into; files of these names in it are replaced.

        Examples
        --------
        %mlops prometheus adult-clf -o prometheus
        """
        from .prometheus import alert_rules, dashboard, scrape_config

        told = self.context.call("monitoring.prometheus", name=model)
        folder = Path(output).expanduser()
        files = {
            "prometheus.yml": scrape_config(told["name"], told["url"], told["token_file"]),
            "rules.yml": alert_rules(told["name"], told["rules"], told["seconds"]),
            "dashboard.json": dashboard(told["name"]),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text)
        except OSError as error:
            raise InvalidArgument(
                f"{folder} cannot be written: {error.strerror}.", hint="Choose another folder with `-o DIR`."
            ) from error
        return f"{', '.join(files)} in {folder}; start: prometheus --config.file={folder / 'prometheus.yml'}"

    @command("alerts", stage="monitoring", changes=False)
    def alerts(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")] = "",
        *,
        firing: bool = False,
        limit: int = 50,
    ) -> AlertTable:
        """List alerts, newest first.

        Parameters
        ----------
        model
            Only those of this deployment or model; empty for all.
        firing
            Only those that are not over.
        limit
            How many at the most.

        Examples
        --------
        %mlops alerts --firing
        """
        if limit < 1:
            raise InvalidArgument(f"--limit takes a number from 1 on, not {limit}.")
        return AlertTable.from_dict(self.context.call("monitoring.alerts", name=model, firing=firing, limit=limit))

    @command("silence", stage="monitoring", changes=True)
    def silence(
        self,
        model: Annotated[str, Arg(complete="deployments", metavar="MODEL")],
        *,
        rule: Annotated[str, Arg(metavar="RULE")] = "",
        length: Length = "24h",
        off: bool = False,
    ) -> Monitor:
        """Let a monitor's rules send nothing and do nothing for a while; what they find is kept in the store all the same.

        Parameters
        ----------
        model
            The deployment.
        rule
            Only this rule.
        length
            For how long: ``1h``, ``3d``.
        off
            Let them speak again.

        Examples
        --------
        %mlops silence adult-clf --length 3d
        """
        until = 0 if off else now_ms() + parse_length(length)
        return Monitor.from_dict(self.context.call("monitoring.silence", name=model, rule=rule, until_ms=until))
