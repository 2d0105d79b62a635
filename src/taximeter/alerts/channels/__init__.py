"""Where notifications go. One file a channel; `registry` lists them."""
