
			CREATE VIEW light AS SELECT * FROM teas WHERE grams < 150;
			SELECT count(*) AS n, sum(grams) AS grams FROM light;
			DELETE FROM teas WHERE country <> 'Japan';
			SELECT * FROM light