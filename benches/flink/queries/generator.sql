SELECT kind FROM events
