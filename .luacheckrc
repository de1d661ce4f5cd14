std = "lua54"
max_line_length = 120
exclude_files = { "build" }

files["spec"] = { std = "+busted" }
files["lua/types"] = { ignore = { "2..", "121/require" } } -- stubs: names are there to be read
