"""Reference pages, one file each: ``page()`` returns what ``docs/<name>.md`` holds."""
