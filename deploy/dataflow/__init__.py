"""Images, template and launcher for Dataflow."""
