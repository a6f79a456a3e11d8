"""What AWS allows, in small typed tables, each with the page that it comes from. Nothing is fetched at run time."""
