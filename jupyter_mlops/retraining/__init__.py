"""Alert to new run: triggers, champion against challenger."""
