"""What of Strait's client Runcord does not serve: each method by its name, and why.

A method stands here or has a scenario, never neither: `test_every_method` holds both against the client itself. What
stands here is asked for like everything else, and has to be refused as a path that is not there.
"""

from collections.abc import Mapping

OUT_OF_SCOPE: Mapping[str, tuple[str, str]] = {
    # service: why, its methods
    "workflows": (
        "workflows are a product of their own",
        "clone create delete dry_run get get_diff get_explain get_graph get_graph_by_workflow_id get_impact get_policy"
        " get_version list list_labels list_runs list_steps_by_version list_versions plan simulate trigger update"
        " upsert_policy",
    ),
    "workflow_runs": (
        "workflows are a product of their own",
        "approve_step bulk_cancel bulk_replay delete force_complete_step get list list_steps pause replay_subtree_step"
        " resume retry retry_step skip_step",
    ),
    "deployments": ("Runcord does not run the workers", "create finalize list promote rollback"),
    "environments": ("Runcord does not run the workers", "create delete get list list_variables update"),
    "secrets": ("Runcord does not run the workers", "create delete list"),
    "regions": ("Runcord does not run the workers", "list"),
    "organizations": ("accounts are made on the command line", "list_jobs list_runs"),
    "projects": (
        "accounts are made on the command line",
        "create delete get get_activity_stream get_settings list upsert_settings",
    ),
    "rbac": (
        "accounts are made on the command line",
        "bulk_member create_member create_resource_policy create_role create_tag_policy delete_member"
        " delete_resource_policy delete_role delete_tag_policy get_role list_audit_events list_members"
        " list_resource_policies list_roles list_tag_policies seed_roles update_role",
    ),
    "cli_auth": ("accounts are made on the command line", "approve_device_code device_code token"),
    "webhooks": (
        "deliveries to elsewhere are not about runs",
        "create_subscription delete_subscription get_delivery list_deliveries list_subscriptions retry_delivery",
    ),
    "event_sources": (
        "deliveries from elsewhere are not about runs",
        "create delete delete_subscription dispatch_event get list list_subscriptions subscribe update",
    ),
    "log_drains": ("deliveries to elsewhere are not about runs", "create delete get list update"),
    "notification_channels": (
        "deliveries to elsewhere are not about runs",
        "create delete get list list_deliveries update",
    ),
    "analytics": (
        "these are figures of Strait's cloud",
        "get_compute get_costs_by_machine get_costs_by_trigger get_costs_forecast get_costs_top get_events_latency"
        " get_events_volume get_job_history get_jobs_by_version get_jobs_comparison get_jobs_cost_ranking"
        " get_jobs_reliability get_jobs_top_failing get_performance get_runs_by_trigger"
        " get_runs_duration_distribution get_runs_summary get_runs_timeline get_tags_cost get_tags_summary"
        " get_tags_top_failing get_webhooks_endpoint_health get_webhooks_top_failing get_workflows_summary"
        " list_approvals list_cost_insights list_cost_trends list_costs list_runs_failure_reasons"
        " list_webhooks_delivery_stats list_workflow_step_durations list_workflows_completion_rates",
    ),
    "billing": (
        "these are figures of Strait's cloud",
        "check_org_limit export_usage get_anomaly_config get_cost_estimate get_current_usage get_downgrade_preview"
        " get_email_preferences get_project_budget get_spending_limit get_usage_forecast get_usage_history"
        " list_project_costs list_usage_anomalies upsert_anomaly_config upsert_email_preferences"
        " upsert_project_budget upsert_spending_limit",
    ),
    "job_groups": (
        "the group of a job is one of its settings",
        "create delete get get_stats list list_jobs pause_all resume_all update",
    ),
}

NOT_YET: Mapping[str, tuple[str, str]] = {
    "health": ("there are no metrics", "list_metrics"),
}
"""What is to be served and is not: its scenarios are written, and run as soon as a method is struck from here."""


def methods_of(table: Mapping[str, tuple[str, str]]) -> set[str]:
    """Return the methods that a table names, as `service.method`."""
    return {f"{service}.{name}" for service, (_, names) in table.items() for name in names.split()}
