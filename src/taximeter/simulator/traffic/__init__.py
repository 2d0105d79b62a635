"""The sample application: a help-desk product that does not exist, with features, teams, users and habits."""
